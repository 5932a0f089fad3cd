import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer, Call, Tokens } from './support/client.ts';
import { enableTotp } from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;
const id = randomUUID();

/** What makes or changes rights, or the ways to them. */
const DANGEROUS: [method: string, path: string, json?: object][] = [
  ['POST', '/keys/create', { clientId: id, permissions: ['sync:read'] }],
  ['POST', `/keys/${id}/rotate`, {}],
  ['PUT', `/keys/${id}/update`, { isActive: true }],
  ['POST', '/clients', { name: 'Shop', clientType: 'web' }],
  ['PUT', `/clients/${id}`, { isActive: true }],
  ['POST', '/oauth-clients', { name: 'Branch 12' }],
  ['POST', `/oauth-clients/${id}/secrets`, {}],
  ['DELETE', `/oauth-clients/${id}/secrets/${id}`],
  ['PATCH', `/oauth-clients/${id}`, { partitions: ['*'] }],
  ['PATCH', `/users/${id}`, { role: 'admin' }],
  ['PATCH', `/users/${id}`, { partitions: ['*'] }],
  ['PATCH', `/users/${id}`, { disabled: true }],
  ['PATCH', `/devices/${id}`, { partitions: ['*'] }],
  ['POST', '/roles', { name: 'auditors', scopes: ['audit:read'] }],
  ['PUT', '/roles/auditors', { scopes: ['audit:read'] }],
  ['DELETE', '/roles/auditors'],
  ['POST', '/invitations', { email: 'new@example.com', role: 'admin' }],
  ['POST', '/ip-rules', { cidr: '203.0.113.0/24', action: 'deny' }],
  ['DELETE', `/ip-rules/${id}`, {}],
];
/** What shows something, or ends it: nobody is to look for a password first while a key that was stolen is in use. */
const HARMLESS: typeof DANGEROUS = [
  ...['/users', '/oauth-clients', '/keys/list', '/roles', '/invitations', '/ip-rules', '/devices'].map(
    (path): [string, string] => ['GET', path],
  ),
  ['DELETE', `/keys/${id}/revoke`],
  ['DELETE', `/invitations/${id}`],
];

describe('[S38] administration by people', () => {
  let gateway: Gateway;
  let username: string;
  let mine: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    ({ username } = await createPerson(gateway));
    mine = await logIn(gateway, username);
  });
  afterEach(() => gateway.close());
  const act = ([method, path, json]: (typeof DANGEROUS)[number], by: Call): Promise<Answer> =>
    call(gateway, `/api/v1/admin${path}`, { method, ...(json ? { json } : {}), ...by });
  const codesOf = async (acts: typeof DANGEROUS, by: Call): Promise<unknown[]> => {
    const codes: unknown[] = [];
    for (const each of acts) codes.push((await act(each, by)).body['code']);
    return codes;
  };
  const prove = (bearer: string): Promise<Answer> =>
    call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer });

  it('gives and changes no rights by a token fourteen minutes after the login, until the person proves who they are', async () => {
    gateway.clock.advance(14 * MINUTE);
    const by = { bearer: mine.access };
    const stale = await codesOf(DANGEROUS, by);
    expect(stale).to.deep.equal(DANGEROUS.map(() => 'reauthentication_required'));
    expect((await prove(mine.access)).status).to.equal(200);
    expect(await codesOf(DANGEROUS, by)).not.to.include('reauthentication_required');
  });

  it('is not asked for anything right after the login, nor for looking and ending', async () => {
    const by = { bearer: mine.access };
    expect(await codesOf(DANGEROUS, by)).not.to.include('reauthentication_required');
    gateway.clock.advance(14 * MINUTE);
    expect(await codesOf(HARMLESS, by)).not.to.include('reauthentication_required');
  });

  it('says what counts as a proof', async () => {
    const make = DANGEROUS[0]!;
    const early = await act(make, { bearer: mine.access });
    await enableTotp(gateway, mine.access);
    const { username: plain, id: other } = await createPerson(gateway);
    await call(gateway, `/api/v1/admin/users/${other}`, {
      ...{ method: 'PATCH', json: { role: 'admin' }, key: ADMIN_KEY },
    });
    const { access } = await logIn(gateway, plain);
    gateway.clock.advance(11 * MINUTE);
    const [withCodes, without] = [
      await act(make, { bearer: mine.access }),
      await act(make, { bearer: access }),
    ];
    expect([early.status, withCodes.status, without.status]).to.deep.equal([404, 401, 401]);
    expect(withCodes.body['methods']).to.deep.equal(['password', 'totp', 'recovery']);
    expect(without.body['methods']).to.deep.equal(['password']);
  });

  it('leaves nothing behind when it is refused', async () => {
    gateway.clock.advance(14 * MINUTE);
    await codesOf(DANGEROUS, { bearer: mine.access });
    const rows = await gateway.db.sql<{ made: number }>(
      `SELECT ((SELECT count(*) FROM oauth_clients) + (SELECT count(*) FROM roles)
             + (SELECT count(*) FROM invitations) + (SELECT count(*) FROM ip_rules))::integer AS made`,
    );
    expect(rows).to.deep.equal([{ made: 0 }]);
  });

  it('is for machines as it was: a key or a client is its own proof', async () => {
    const client = await createClient(gateway, { scopes: ['admin'], partitions: [] });
    gateway.clock.advance(14 * MINUTE);
    const { access } = await clientTokens(gateway, client);
    for (const by of [{ key: ADMIN_KEY }, { bearer: access }])
      expect(await codesOf(DANGEROUS, by)).not.to.include('reauthentication_required');
  });
});
