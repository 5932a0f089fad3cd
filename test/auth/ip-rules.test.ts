import { expect } from 'chai';
import { networkIn } from '../../server/auth/ip-allow-list.ts';
import { createLocalHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { openTestDatabase } from '../support/database.ts';
import { until } from '../support/sync-gateway.ts';
import {
  auditRows,
  call,
  clientTokens,
  createClient,
  createPerson,
  logIn,
  mailsTo,
} from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const HOME = '192.0.2.1';
const OFFICE = '203.0.113.7';

describe('addresses that a tenant lets in', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway({ env: { TRUST_PROXY: 'true' } })));
  afterEach(() => gateway.close());

  const from = (ip: string, path: string, request: Call = {}): Promise<Answer> =>
    call(gateway, path, { ...request, headers: { ...request.headers, 'x-forwarded-for': ip } });
  const PATH = '/api/v1/admin/ip-rules';
  const add = (cidr: string, action: string, more: object = {}): Promise<Answer> =>
    from(HOME, PATH, { key: ADMIN_KEY, json: { cidr, action, ...more } });
  const idOf = ({ body }: Answer): string => (body['rule'] as { id: string }).id;
  const login = (ip: string, username: string): Promise<Answer> =>
    from(ip, '/api/login', { json: { username, password: PASSWORD } });
  const REFUSED = [403, 'address_refused'];
  const codeOf = ({ status, body }: Answer): unknown[] => [status, body['code']];

  it('[S47] what is denied stays out however the proxy writes it, and so does what is no address', async () => {
    const { username } = await createPerson(gateway);
    const forms = ['203.0.113.7:51234', '[::ffff:203.0.113.7]', '203.0.113.007', 'fe80::1%eth0', 'unknown'];
    const before = [];
    for (const form of forms) before.push((await login(form, username)).status);
    for (const cidr of ['203.0.113.0/24', 'fe80::/10']) await add(cidr, 'deny');
    for (const form of forms) expect(codeOf(await login(form, username)), form).to.deep.equal(REFUSED);
    expect(before).to.deep.equal(forms.map(() => 200));
    expect((await login('198.51.100.4:443', username)).status).to.equal(200);
  });

  it('[S47] what is denied stays out, with every way of logging in and every token it has', async () => {
    const { username, email } = await createPerson(gateway);
    const { access, refresh } = await logIn(gateway, username);
    const client = await createClient(gateway);
    const machine = await clientTokens(gateway, client);
    const made = await add('203.0.113.0/24', 'deny', { note: 'a scan' });
    expect([made.status, made.body['rule']]).to.deep.include(201);
    const refusals = [
      await login(OFFICE, username),
      await from(OFFICE, '/api/signup', {
        json: { username: 'new', email: 'new@example.com', password: PASSWORD },
      }),
      await from(OFFICE, '/api/password/forgot', { json: { email } }),
      await from(OFFICE, '/api/password/reset', { json: { email, code: '123456', password: PASSWORD } }),
      await from(OFFICE, '/api/verify-email', { json: { email, code: '123456' } }),
      await from(OFFICE, '/api/resend-verification', { json: { email } }),
      await from(OFFICE, '/api/v1/auth/device/register', { json: {} }),
      await from(OFFICE, '/auth/me', { bearer: access }),
      await from(OFFICE, '/auth/refresh', { json: { refresh_token: refresh } }),
      await from(OFFICE, '/auth/me', { bearer: machine.access }),
    ];
    for (const refusal of refusals) expect(codeOf(refusal)).to.deep.equal(REFUSED);
    const grant = {
      grant_type: 'client_credentials',
      client_id: client.clientId,
      client_secret: client.secret,
    };
    const ungranted = await from(OFFICE, '/oauth/token', { form: grant });
    expect([ungranted.status, ungranted.body['error']]).to.deep.equal([400, 'unauthorized_client']);
    expect((await from(HOME, '/auth/me', { bearer: access })).status).to.equal(200);
    // the refused refresh used nothing up
    expect((await from(HOME, '/auth/refresh', { json: { refresh_token: refresh } })).status).to.equal(200);
  });

  it('[S47] an invitation is neither looked at nor accepted from where the tenant lets nobody in', async () => {
    const invited = { json: { email: 'new@example.com' }, key: ADMIN_KEY };
    await from(HOME, '/api/v1/admin/invitations', invited);
    const [mail] = await mailsTo(gateway, 'new@example.com');
    const token = /\/invite#(\S+)/.exec(mail!.text)![1];
    await add('203.0.113.0/24', 'deny');
    const accept = { json: { token, username: 'newcomer', password: PASSWORD } };
    const refusals = [
      await from(OFFICE, '/api/invitations/look', { json: { token } }),
      await from(OFFICE, '/api/invitations/accept', accept),
    ];
    expect(refusals.map(codeOf)).to.deep.equal([REFUSED, REFUSED]);
    expect(refusals.map(({ text }) => text.includes('new@example.com'))).to.deep.equal([false, false]);
    expect((await from(HOME, '/api/invitations/accept', accept)).status).to.equal(201);
  });

  it('[S47] neither a forged header nor IPv4 mapped into IPv6 is a way around it', async () => {
    const { username } = await createPerson(gateway);
    await add('203.0.113.7', 'deny');
    const ways = ['::ffff:203.0.113.7', '::ffff:cb00:7107', '192.0.2.1, 203.0.113.7'];
    for (const way of ways) expect(codeOf(await login(way, username))).to.deep.equal(REFUSED);
    await gateway.close();
    gateway = await startGateway();
    await createPerson(gateway, { username: 'ana' });
    const rule = { cidr: '127.0.0.1', action: 'deny', force: true };
    await call(gateway, PATH, { key: ADMIN_KEY, json: rule });
    expect(codeOf(await login('192.0.2.1', 'ana'))).to.deep.equal(REFUSED);
  });

  it('[S47] from the first rule on that allows, only what is allowed comes in, and a denial in it stays one', async () => {
    const { username } = await createPerson(gateway);
    await add('192.0.2.0/24', 'allow');
    await add('192.0.2.200/32', 'deny');
    await add('2001:db8::/32', 'allow');
    const answers = [];
    for (const ip of [HOME, OFFICE, '192.0.2.200', '2001:db8:1::5', '2001:db9::1'])
      answers.push((await login(ip, username)).status);
    expect(answers).to.deep.equal([200, 403, 403, 200, 403]);
  });

  it('API keys are bound to it; the admin key of the operator is the way back in', async () => {
    const owner = await call(gateway, '/api/v1/admin/clients', {
      key: ADMIN_KEY,
      json: { name: 'Shop', clientType: 'service' },
    });
    const { id: clientId } = owner.body['data'] as { id: string };
    const json = { clientId, permissions: ['audit:read'], partitions: ['*'] };
    const made = await call(gateway, '/api/v1/admin/keys/create', { key: ADMIN_KEY, json });
    const { apiKey } = made.body['data'] as { apiKey: string };
    const rule = await add('192.0.2.0/24', 'deny', { force: true });
    expect(codeOf(await from(HOME, '/audit/logs', { key: apiKey }))).to.deep.equal(REFUSED);
    expect((await from(OFFICE, '/audit/logs', { key: apiKey })).status).to.equal(200);
    const back = await from(HOME, `${PATH}/${idOf(rule)}`, { key: ADMIN_KEY, method: 'DELETE' });
    expect(back.status).to.equal(200);
    expect((await from(HOME, '/audit/logs', { key: apiKey })).status).to.equal(200);
  });

  it('nobody keeps their own address out by mistake: by a rule, or by taking one away', async () => {
    expect(codeOf(await add('192.0.2.0/24', 'deny'))).to.deep.equal([409, 'would_lock_out']);
    expect(codeOf(await add('203.0.113.0/24', 'allow'))).to.deep.equal([409, 'would_lock_out']);
    const own = await add('192.0.2.0/24', 'allow');
    await add('203.0.113.0/24', 'allow');
    const remove = (json: object): Promise<Answer> =>
      from(HOME, `${PATH}/${idOf(own)}`, { key: ADMIN_KEY, method: 'DELETE', json });
    expect(codeOf(await remove({}))).to.deep.equal([409, 'would_lock_out']);
    expect((await remove({ force: true })).status).to.equal(200);
    const forced = await add('192.0.2.0/24', 'deny', { force: true });
    expect(forced.status).to.equal(201);
    const twice = await add('192.0.2.99/24', 'allow', { force: true });
    expect(codeOf(twice)).to.deep.equal([409, 'ip_rule_exists']);
  });

  it('[S54] [S63] needs the scope admin, takes no fields nobody knows, and reaches one’s own tenant alone', async () => {
    await createPerson(gateway);
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const json = { cidr: '203.0.113.0/24', action: 'deny' };
    expect((await from(HOME, PATH, { bearer: access, json })).status).to.equal(403);
    expect((await from(HOME, PATH, { bearer: access })).status).to.equal(403);
    expect((await add('203.0.113.0/24', 'deny', { tenant_id: 2 })).status).to.equal(400);
    for (const cidr of ['203.0.113.0/33', 'example.com', 'fe80::1%eth0/64', '1.2.3.4/', '', '1.2.3.4/0/0'])
      expect((await add(cidr, 'deny')).status, cidr).to.equal(400);
    expect((await add('203.0.113.0/24', 'refuse')).status).to.equal(400);
    const [second] = await gateway.db.sql<{ id: number }>(
      `INSERT INTO tenants (name) VALUES ('second') RETURNING id`,
    );
    const theirs = await add('203.0.113.0/24', 'deny', { tenantId: second!.id });
    const mine = await from(HOME, PATH, { key: ADMIN_KEY });
    const gone = await from(HOME, `${PATH}/${idOf(theirs)}`, { key: ADMIN_KEY, method: 'DELETE' });
    expect([theirs.status, mine.body['rules'], gone.status]).to.deep.equal([201, [], 404]);
    expect((await login(OFFICE, username)).status).to.equal(200);
  });

  it('[S61] each change leaves one audit row, and a refused address one a minute', async () => {
    const { username } = await createPerson(gateway);
    const made = await add('203.0.113.0/24', 'deny');
    await from(HOME, `${PATH}/${idOf(made)}`, { key: ADMIN_KEY, method: 'DELETE' });
    await add('203.0.113.0/24', 'deny');
    for (let i = 0; i < 3; i += 1) await login(OFFICE, username);
    expect((await auditRows(gateway, 'ip_rule.created')).map((row) => row.success)).to.deep.equal([
      true,
      true,
    ]);
    const [deleted, ...others] = await auditRows(gateway, 'ip_rule.deleted');
    expect(deleted?.details).to.deep.include({ cidr: '203.0.113.0/24', action: 'deny' });
    expect(others).to.deep.equal([]);
    const refused = await auditRows(gateway, 'address.refused');
    expect(refused.map(({ success, code }) => [success, code])).to.deep.equal([[false, 'address_refused']]);
  });

  it('networks have one form', () => {
    const forms = {
      '10.1.2.3/8': '10.0.0.0/8',
      '10.1.2.3': '10.1.2.3/32',
      '0.0.0.0/0': '0.0.0.0/0',
      '192.0.2.129/25': '192.0.2.128/25',
      '2001:DB8:0:0:1::/48': '2001:db8::/48',
      '2001:db8::1': '2001:db8::1/128',
      '2001:db8:ffff::/33': '2001:db8:8000::/33',
      '::/0': '::/0',
      '::ffff:10.1.2.3': '10.1.2.3/32',
      '::ffff:10.1.2.3/104': '10.0.0.0/8',
    };
    expect(Object.keys(forms).map(networkIn)).to.deep.equal(Object.values(forms));
  });
});

describe('address rules on several nodes', () => {
  let nodes: Gateway[] = [];
  let hints: Hints[] = [];
  let db: Awaited<ReturnType<typeof openTestDatabase>>;
  const start = async (shared: boolean): Promise<[Gateway, Gateway]> => {
    db = await openTestDatabase();
    const one = createLocalHints();
    hints = shared ? [one, one] : [one, createLocalHints()];
    const env = { PUBLIC_URL: 'https://sync.example.com' };
    const [a, b] = [
      await startGateway({ db, hints: hints[0]!, env }),
      await startGateway({ db, hints: hints[1]!, env }),
    ];
    nodes = [a, b];
    return [a, b];
  };
  afterEach(async () => {
    for (const node of nodes) await node.close();
    for (const bus of new Set(hints)) await bus.close();
    await db.close();
  });
  const rule = { cidr: '127.0.0.0/8', action: 'deny', force: true };

  for (const shared of [true, false])
    it(`count at once on the node that has not heard of them before${shared ? '' : ', although the hint is lost'}`, async () => {
      const [a, b] = await start(shared);
      const { username } = await createPerson(a);
      const { access } = await logIn(a, username);
      const principal = await b.identity.authenticate(access, { ip: '127.0.0.1' });
      let told = 0;
      const unregister = b.identity.sockets.register({
        sessionId: principal.sessionId,
        principalKey: `user:${principal.id}`,
        tenantId: 1,
        close: () => undefined,
        changed: () => (told += 1),
      });
      await call(a, '/api/v1/admin/ip-rules', { key: ADMIN_KEY, json: rule });
      await until('the other node to hear of it', () => told > 0);
      const refusal = await b.identity.current(principal).then(
        () => 'none',
        (error: unknown) => (error as { code: string }).code,
      );
      unregister();
      expect(refusal).to.equal('address_refused');
      expect((await call(b, '/auth/me', { bearer: access })).status).to.equal(403);
    });
});
