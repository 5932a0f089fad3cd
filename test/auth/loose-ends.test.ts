import { expect } from 'chai';
import { auditRows, call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('an open socket', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const outcome = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'ok',
      (error: unknown) => (error as { code: string }).code,
    );

  it('[S47] loses its rights, and is told to look, once the allow-list excludes the address it came from', async () => {
    const { identity } = gateway;
    const client = await createClient(gateway);
    const { access } = await clientTokens(gateway, client);
    const inside = await identity.authenticate(access, { ip: '10.0.0.7' });
    const outside = await identity.authenticate(access, { ip: '192.0.2.7' });
    let told = 0;
    const { tenantId, sessionId } = outside;
    const socket = { tenantId, sessionId, principalKey: `client:${client.id}`, close: () => undefined };
    identity.sockets.register({ ...socket, changed: () => void (told += 1) });
    const before = await outcome(identity.current(outside));
    await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, {
      method: 'PATCH',
      json: { ipAllowList: ['10.0.0.0/8'] },
      key: ADMIN_KEY,
    });
    const after = [await outcome(identity.current(outside)), await outcome(identity.current(inside))];
    expect([before, ...after]).to.deep.equal(['ok', 'forbidden', 'ok']);
    expect(told).to.be.greaterThan(0);
  });

  it('[S47] stays bound to its address through changes of its rights', async () => {
    const { identity } = gateway;
    const client = await createClient(gateway);
    const { access } = await clientTokens(gateway, client);
    const first = await identity.authenticate(access, { ip: '192.0.2.7' });
    const change = (json: unknown): Promise<unknown> =>
      call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, { method: 'PATCH', json, key: ADMIN_KEY });
    await change({ partitions: ['branch-13'] });
    const second = await identity.current(first);
    await change({ ipAllowList: ['10.0.0.0/8'] });
    expect([...second.grants.read]).to.deep.equal(['branch-13']);
    expect(await outcome(identity.current(second))).to.equal('forbidden');
  });
});

describe('logging out', () => {
  let gateway: Gateway;
  let username: string;
  beforeEach(async () => {
    gateway = await startGateway();
    ({ username } = await createPerson(gateway));
  });
  afterEach(() => gateway.close());
  const logOut = async (bearer: string, refreshToken: string): Promise<number> =>
    (await call(gateway, '/auth/logout', { json: { refresh_token: refreshToken }, bearer })).status;
  const isAlive = async (access: string): Promise<boolean> =>
    (await call(gateway, '/auth/me', { bearer: access })).status === 200;

  it('ends the bearer’s session whatever refresh token comes with it, and the refresh token’s as well', async () => {
    const one = await logIn(gateway, username);
    const [two, three] = [await logIn(gateway, username), await logIn(gateway, username)];
    const statuses = [await logOut(one.access, 'srt_1_garbage'), await logOut(two.access, three.refresh)];
    const alive = await Promise.all([one, two, three].map(({ access }) => isAlive(access)));
    expect([statuses, alive]).to.deep.equal([
      [200, 200],
      [false, false, false],
    ]);
    expect(await auditRows(gateway, 'auth.logout')).to.have.length(2);
  });

  it('a bad bearer is refused when the refresh token names no session either', async () => {
    const { refresh, access } = await logIn(gateway, username);
    const refused = await logOut(`${access}x`, 'srt_1_garbage');
    const told = await logOut(`${access}x`, refresh);
    expect([refused, told, await isAlive(access)]).to.deep.equal([401, 200, false]);
  });
});

describe('/dev/mail', () => {
  it('is not there for a request that came through a proxy', async () => {
    const gateway = await startGateway();
    const statuses = [];
    for (const name of ['X-Forwarded-For', 'X-Forwarded-Host', 'Forwarded', 'X-Real-IP', 'Via', 'X-Other'])
      statuses.push((await call(gateway, '/dev/mail', { headers: { [name]: '192.0.2.7' } })).status);
    await gateway.close();
    expect(statuses).to.deep.equal([404, 404, 404, 404, 404, 200]);
  });
});
