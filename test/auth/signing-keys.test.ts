import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { createLocalHints } from '../../server/hints.ts';
import { auditRows, call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;
const PATH = '/api/v1/admin/keys/rotate-signing';

describe('[S44] rotating the signing keys', () => {
  let gateway: Gateway;
  const start = async (env: Record<string, string> = {}): Promise<void> => {
    gateway = await startGateway({ env });
    others = [];
  };
  /** Closed after each test, and before the gateway. */
  let others: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const other of others) await other.close();
    await gateway.close();
  });
  const startTwo = async (): Promise<Gateway> => {
    const hints = createLocalHints();
    gateway = await startGateway({ hints });
    const other = await startGateway({ db: gateway.db, hints, env: { PUBLIC_URL: gateway.url } });
    others = [other, hints];
    return other;
  };
  const rotate = (json: object = {}, by: Call = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, PATH, { json, ...by });
  const keyOf = ({ body }: Answer): Record<string, unknown> => body['data'] as Record<string, unknown>;
  const kidOf = (token: string): string | undefined => decodeProtectedHeader(token).kid;
  const newToken = async (): Promise<string> =>
    (await clientTokens(gateway, await createClient(gateway))).access;
  const published = async (): Promise<unknown[]> => {
    const { body } = await call(gateway, '/.well-known/jwks.json');
    return (body['keys'] as { kid: string }[]).map(({ kid }) => kid);
  };
  const statusOf = async (bearer: string, at = gateway): Promise<number> =>
    (await call(at, '/auth/me', { bearer })).status;

  it('publishes a key at once, which signs when every cache has it; tokens of the one before stay good', async () => {
    await start();
    const before = await newToken();
    const answer = await rotate();
    const { kid, state, signsFrom } = keyOf(answer);
    expect([answer.status, state]).to.deep.equal([201, 'pending']);
    expect(Date.parse(String(signsFrom)) - gateway.clock()).to.be.within(4.5 * MINUTE, 5 * MINUTE);
    expect(await published()).to.deep.equal([kidOf(before), kid]);
    expect(kidOf(await newToken())).to.equal(kidOf(before));
    gateway.clock.advance(5 * MINUTE + 1_000);
    await gateway.identity.core.keys.advance();
    const after = await newToken();
    expect([kidOf(after), await statusOf(before), await statusOf(after)]).to.deep.equal([kid, 200, 200]);
  });

  it('asked again before it signs, gives the same key; `immediately` lets that one sign at once', async () => {
    await start();
    const [first, second] = await Promise.all([rotate(), rotate()]);
    const third = await rotate({ immediately: true });
    const kids = [first, second, third].map((answer) => keyOf(answer)['kid']);
    expect(new Set(kids)).to.have.length(1);
    expect(new Set([first.status, second.status])).to.deep.equal(new Set([201, 200]));
    expect([third.status, keyOf(third)['state'], kidOf(await newToken())]).to.deep.equal([
      200,
      'active',
      kids[0],
    ]);
    const again = await rotate({ immediately: true });
    expect([again.status, keyOf(again)['kid'] === kids[0]]).to.deep.equal([201, false]);
  });

  it('other nodes hear of it without a restart', async () => {
    const other = await startTwo();
    const { kid } = keyOf(await rotate({ immediately: true }));
    await until(() => other.identity.core.keys.signer().kid === kid);
  });

  it('[S5] a node that still takes the key for one to come looks again when a token is signed with it', async () => {
    const other = await startTwo();
    const { kid } = keyOf(await rotate());
    await until(() => other.identity.core.keys.jwks().keys.some((key) => key.kid === kid));
    for (const node of [gateway, other]) node.clock.advance(6 * MINUTE);
    await gateway.identity.core.keys.advance();
    const token = await newToken();
    expect([kidOf(token), await statusOf(token, other)]).to.deep.equal([kid, 200]);
  });

  it('[S38] people prove who they are first; members and administrators of other tenants may not', async () => {
    await start();
    const owner = await createPerson(gateway);
    const member = await createPerson(gateway);
    const { access } = await logIn(gateway, owner.username);
    const fresh = await rotate({}, { bearer: access });
    gateway.clock.advance(14 * MINUTE);
    const stale = await rotate({}, { bearer: access });
    const low = await rotate({}, { bearer: (await logIn(gateway, member.username)).access });
    const [tenant] = await gateway.db.sql<{ id: number }>(
      `INSERT INTO tenants (name) VALUES ('other') RETURNING id`,
    );
    const client = await createClient(gateway, { tenantId: tenant!.id, scopes: ['admin'], partitions: [] });
    const foreign = await rotate({}, { bearer: (await clientTokens(gateway, client)).access });
    const statuses = [fresh, stale, low, foreign].map(({ status, body }) => [status, body['code']]);
    expect(statuses).to.deep.equal([
      [201, undefined],
      [401, 'reauthentication_required'],
      [403, 'forbidden'],
      [403, 'forbidden'],
    ]);
    expect(await published()).to.have.length(2);
  });

  it('a client with the scope admin of the first tenant may, and nobody without a key or a token', async () => {
    await start();
    const client = await createClient(gateway, { scopes: ['admin'], partitions: [] });
    const { access } = await clientTokens(gateway, client);
    const statuses = [await rotate({}, { bearer: access }), await rotate({}, {})].map(({ status }) => status);
    expect(statuses).to.deep.equal([201, 401]);
  });

  it('[S61] leaves a row that says who, and none of it holds the private key', async () => {
    await start();
    const { kid } = keyOf(await rotate());
    await rotate({ immediately: true });
    const rows = await auditRows(gateway, 'key.rotated');
    expect(rows.map(({ principal, details }) => [principal, details])).to.deep.equal([
      ['api_key:00000000-0000-0000-0000-000000000000', { kid, made: true, immediately: false }],
      ['api_key:00000000-0000-0000-0000-000000000000', { kid, made: false, immediately: true }],
    ]);
    const answer = await rotate();
    expect(Object.keys(keyOf(answer)).sort()).to.deep.equal(['createdAt', 'kid', 'signsFrom', 'state']);
    const everything = gateway.logged() + JSON.stringify(await gateway.db.sql('SELECT * FROM audit_logs'));
    expect(everything).not.to.include('"d"');
  });

  it('with JWT_SECRET it says that there is nothing to rotate, and makes nothing', async () => {
    await start({ JWT_SECRET: 'a secret for tests only, of more than 32 characters' });
    const { status, body } = await rotate();
    expect([status, body['code']]).to.deep.equal([409, 'nothing_to_rotate']);
    expect(body['message']).to.include('JWT_SECRET').and.include('JWT_SECRET_PREVIOUS');
    expect(await auditRows(gateway, 'key.rotated')).to.have.length(0);
  });

  it('counts as a change of keys', async () => {
    await start({ KEY_OPERATION_LIMIT: '2' });
    const statuses = [await rotate(), await rotate(), await rotate()].map(({ status }) => status);
    expect(statuses).to.deep.equal([201, 200, 429]);
  });
});

async function until(check: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !check(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(check()).to.equal(true);
}
