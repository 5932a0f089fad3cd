import { expect } from 'chai';
import { call, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Call, Client } from './support/client.ts';
import { dataOf } from './support/device-suite.ts';
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

describe('[S54] what bounds a credential', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const admin = (path: string, request: Call): Promise<Answer> =>
    call(gateway, `/api/v1/admin${path}`, { key: ADMIN_KEY, ...request });

  it('is loosened by no API key for itself, and may be tightened', async () => {
    const owner = dataOf(await admin('/clients', { json: { name: 'Shop', clientType: 'web' } }));
    const [soon, later] = [3_600_000, 7_200_000].map((ms) => new Date(Date.now() + ms).toISOString());
    const bounds = { rateLimit: 50, expiresAt: later };
    const json = { clientId: owner['id'], permissions: ['admin'], partitions: ['p1'], ...bounds };
    const { id, apiKey: key } = dataOf(await admin('/keys/create', { json })) as Record<string, string>;
    const update = async (changes: object, by: object = { key }): Promise<number> =>
      (await admin(`/keys/${id}/update`, { method: 'PUT', json: changes, ...by })).status;
    const beyond = new Date(Date.now() + 9_000_000).toISOString();
    for (const looser of [{ expiresAt: null }, { rateLimit: null }, { rateLimit: 51 }, { expiresAt: beyond }])
      expect(await update(looser), JSON.stringify(looser)).to.equal(403);
    expect(await update({ rateLimit: 40, expiresAt: soon })).to.equal(200);
    expect(await update({ rateLimit: null, expiresAt: null }, {})).to.equal(200);
  });

  it('is loosened by no OAuth client for itself, and may be tightened', async () => {
    const ipAllowList = ['127.0.0.0/8', '10.0.0.1'];
    const client = await createClient(gateway, { scopes: ['admin'], ipAllowList, ratePerMinute: 30 });
    const bearer = String((await token(gateway, client)).body['access_token']);
    const change = async (json: object): Promise<number> =>
      (await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, { method: 'PATCH', json, bearer }))
        .status;
    for (const looser of [
      { ipAllowList: [] },
      { ipAllowList: ['127.0.0.0/8', '0.0.0.0/0'] },
      { ratePerMinute: null },
      { ratePerMinute: 31 },
    ])
      expect(await change(looser), JSON.stringify(looser)).to.equal(403);
    expect(await change({ ipAllowList: ['127.1.2.3/8'], ratePerMinute: 20 })).to.equal(200);
    expect(
      (await admin(`/oauth-clients/${client.id}`, { method: 'PATCH', json: { ipAllowList: [] } })).status,
    ).to.equal(200);
  });
});
