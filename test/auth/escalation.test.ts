import { expect } from 'chai';
import { call, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Client } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('[S54] an administrator limited to partitions', () => {
  let gateway: Gateway;
  let limited: Client;
  let bearer: string;
  beforeEach(async () => {
    gateway = await startGateway();
    limited = await createClient(gateway, { scopes: ['admin'], partitions: ['p1'] });
    bearer = String((await token(gateway, limited)).body['access_token']);
  });
  afterEach(() => gateway.close());
  const ask = (method: string, path: string, json: unknown = {}): Promise<Answer> =>
    call(gateway, `/api/v1/admin${path}`, { method, json, bearer });
  const codesOf = (answers: Answer[]): unknown[] => answers.map(({ body }) => body['code'] ?? 'ok');

  it('makes nobody more than it is itself', async () => {
    await createPerson(gateway);
    const { id, username } = await createPerson(gateway);
    const answers = [];
    for (const json of [{ role: 'admin' }, { role: 'owner' }, { partitions: ['p2'] }, { partitions: ['*'] }])
      answers.push(await ask('PATCH', `/users/${id}`, json));
    const harmless = await ask('PATCH', `/users/${id}`, { role: 'operator', partitions: ['p1'] });
    const me = await call(gateway, '/auth/me', { bearer: (await logIn(gateway, username)).access });
    expect(codesOf(answers)).to.deep.equal(Array(4).fill('forbidden_partition'));
    expect([harmless.status, me.body['partitions']]).to.deep.equal([200, { read: ['p1'], write: ['p1'] }]);
  });

  it('does nothing to people who hold more than it does', async () => {
    const owner = await createPerson(gateway);
    const member = await createPerson(gateway);
    await gateway.db.sql(`UPDATE users SET partitions = '{p1,p2}' WHERE id = $1`, [member.id]);
    const answers = [
      await ask('PATCH', `/users/${owner.id}`, { disabled: true }),
      await ask('PATCH', `/users/${member.id}`, { disabled: true }),
      await ask('PATCH', `/users/${member.id}`, { partitions: [] }),
    ];
    expect(codesOf(answers)).to.deep.equal(Array(3).fill('forbidden_partition'));
  });

  it('neither widens nor deletes a role that somebody is invited to for partitions it does not have', async () => {
    const admin = (path: string, json: object): Promise<Answer> =>
      call(gateway, `/api/v1/admin${path}`, { json, key: ADMIN_KEY });
    await admin('/roles', { name: 'reader', scopes: ['sync:read'] });
    await admin('/invitations', { email: 'ana@example.com', role: 'reader', partitions: ['p2'] });
    const widened = { scopes: ['sync:read', 'sync:write', 'admin'] };
    expect(codesOf([await ask('PUT', '/roles/reader', widened)])).to.deep.equal(['forbidden_partition']);
    expect(codesOf([await ask('DELETE', '/roles/reader')])).to.deep.equal(['forbidden_partition']);
    gateway.clock.advance(8 * 86_400_000);
    bearer = String((await token(gateway, limited)).body['access_token']);
    expect((await ask('PUT', '/roles/reader', widened)).status).to.equal(200);
  });

  const touch = async (client: Client): Promise<Answer[]> => [
    await ask('POST', `/oauth-clients/${client.id}/secrets`),
    await ask('DELETE', `/oauth-clients/${client.id}/secrets/${client.secretId}`),
    await ask('PATCH', `/oauth-clients/${client.id}`, { ipAllowList: ['10.0.0.1'] }),
    await ask('PATCH', `/oauth-clients/${client.id}`, { disabled: true }),
  ];

  it('gets no secret of a client that holds more, and neither changes nor disables it', async () => {
    const big = await createClient(gateway, { partitions: ['*'] });
    const answers = await touch(big);
    expect(codesOf(answers)).to.deep.equal(Array(4).fill('forbidden_partition'));
    expect(answers.map(({ text }) => text).join('')).not.to.include('client_secret');
    expect((await token(gateway, big)).status).to.equal(200);
  });

  it('cares for the clients within its partitions, read-only grants too', async () => {
    const small = await createClient(gateway, { partitions: ['p1:read'] });
    const answers = await touch(small);
    expect(answers.map(({ status }) => status)).to.deep.equal([201, 200, 200, 200]);
  });
});
