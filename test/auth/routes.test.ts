import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { call, createClient, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer, Call, Person } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

/** Served to whoever asks: each is a way in, a proof of one's own, or says nothing of anybody. */
const PUBLIC = [
  'GET /health',
  'GET /api/health',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/jwks.json',
  'GET /api/signup',
  'POST /api/signup',
  'POST /api/verify-email',
  'POST /api/resend-verification',
  'POST /api/login',
  'POST /auth/login',
  'POST /api/login/mfa',
  'POST /api/login/mfa/passkey-options',
  'POST /api/passkeys/login-options',
  'POST /api/passkeys/login',
  'POST /api/password/forgot',
  'POST /api/password/reset',
  'POST /api/invitations/look',
  'POST /api/invitations/accept',
  'POST /oauth/token',
  'POST /oauth/revoke',
  'POST /oauth/introspect',
  'POST /oauth/device_authorization',
  'POST /api/v1/auth/device/register',
  'POST /api/v1/auth/login',
  'POST /api/v1/auth/refresh',
  // only on this machine, and only without a mail server
  'GET /dev/mail',
];

/** What there is none of, in the form of what is there. */
const nothing = (param: string): string => (param === 'name' ? 'nobody-has-it' : randomUUID());

/** A request about something of the first tenant: the values of its path, and its body. */
interface Target {
  params: Record<string, string>;
  json?: unknown;
  /** A path to nothing, where a made-up UUID or name has not its form. */
  none?: Record<string, string>;
}

describe('every route that is served', () => {
  let gateway: Gateway;
  let owner: { person: Person; access: string };
  let colleague: Person;
  before(async () => {
    const limits = [
      'AUTH_FAILURE_LIMIT',
      'AUTH_FAILURE_LIMIT_ADDRESS',
      'AUTH_FAILURE_LIMIT_ACCOUNT',
      'PROOF_OF_WORK_AFTER',
    ];
    gateway = await startGateway({ env: Object.fromEntries(limits.map((name) => [name, '100000'])) });
    const person = await createPerson(gateway);
    colleague = await createPerson(gateway);
    owner = { person, access: (await logIn(gateway, person.username)).access };
    await proveSecondFactor(person.id);
  });
  after(() => gateway.close());

  const routes = (): string[] =>
    gateway.routers.flatMap(({ stack }) =>
      stack.flatMap(({ methods, path }) =>
        methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
      ),
    );
  const ask = (route: string, target: Target, by: Call, query = ''): Promise<Answer> => {
    const [method = '', path = ''] = route.split(' ');
    const url = path.replace(/:(\w+)/g, (_, name: string) => target.params[name] ?? nothing(name));
    return call(gateway, url + query, { method, json: method === 'GET' ? undefined : target.json, ...by });
  };
  const admin = async (path: string, json: unknown): Promise<Record<string, unknown>> =>
    (await call(gateway, `/api/v1/admin${path}`, { json, key: ADMIN_KEY })).body;
  const idIn = (body: Record<string, unknown>, ...path: string[]): { id: string } => {
    const found = path.reduce((at, name) => at[name] as Record<string, unknown>, body);
    return { id: String(found['id']) };
  };
  /** As if the login had been with codes: changes of factors ask for that. */
  const proveSecondFactor = async (userId: string): Promise<void> => {
    await gateway.db.sql(`UPDATE sessions SET amr = '{pwd,otp}' WHERE principal_id = $1`, [userId]);
    gateway.identity.core.states.forgetPrincipal(1, `user:${userId}`);
  };
  const passkeyOf = async (userId: string): Promise<{ id: string }> => {
    const id = randomUUID();
    await gateway.db.sql(
      `INSERT INTO passkeys (tenant_id, id, user_id, credential_id, public_key, counter, backed_up, name, created_at)
       VALUES (1, $1, $2, $1::uuid::text, '', 0, false, 'key', now())`,
      [id, userId],
    );
    return { id };
  };
  const client = async (): Promise<{ id: string; secretId: string }> => createClient(gateway);
  const role = async (): Promise<{ name: string }> => {
    const name = `clerk-${randomUUID().slice(0, 8)}`;
    await admin('/roles', { name, scopes: ['chat'] });
    return { name };
  };
  const keyOwner = async (): Promise<{ id: string }> =>
    idIn(await admin('/clients', { name: 'shop', clientType: 'web' }), 'data');
  const apiKey = async (): Promise<{ id: string }> => {
    const json = { clientId: (await keyOwner()).id, permissions: ['chat'] };
    return idIn(await admin('/keys/create', json), 'data');
  };
  const device = async (): Promise<{ id: string }> => {
    const { body } = await call(gateway, '/api/v1/auth/device/register', { json: {} });
    return { id: (body['data'] as { deviceId: string }).deviceId };
  };
  const invitation = async (): Promise<{ id: string }> =>
    idIn(await admin('/invitations', { email: `${randomUUID()}@example.com` }), 'invitation');
  const ipRule = async (): Promise<{ id: string }> =>
    idIn(await admin('/ip-rules', { cidr: '203.0.113.0/24', action: 'deny' }), 'rule');
  const session = async (): Promise<{ id: string }> => {
    const { sessionId } = await gateway.identity.authenticate(owner.access);
    const [made] = await gateway.db.sql<{ id: string }>(
      `INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, created_at, last_used_at, authenticated_at, expires_at)
       SELECT tenant_id, gen_random_uuid(), principal_kind, principal_id, created_at, last_used_at, authenticated_at, expires_at
       FROM sessions WHERE id = $1 RETURNING id`,
      [sessionId],
    );
    return made!;
  };

  /** Each makes something anew in the first tenant, for what is asked may end it. */
  const TARGETS: Record<string, () => Promise<Target>> = {
    'PATCH /api/passkeys/:id': async () => ({
      params: await passkeyOf(owner.person.id),
      json: { name: 'x' },
    }),
    'DELETE /api/passkeys/:id': async () => ({ params: await passkeyOf(owner.person.id) }),
    'DELETE /api/sessions/:id': async () => ({ params: await session() }),
    'DELETE /api/v1/admin/invitations/:id': async () => ({ params: await invitation() }),
    'PUT /api/v1/admin/roles/:name': async () => ({ params: await role(), json: { scopes: [] } }),
    'DELETE /api/v1/admin/roles/:name': async () => ({ params: await role() }),
    'PATCH /api/v1/admin/oauth-clients/:id': async () => ({ params: await client(), json: { name: 'x' } }),
    'POST /api/v1/admin/oauth-clients/:id/secrets': async () => ({ params: await client(), json: {} }),
    'DELETE /api/v1/admin/oauth-clients/:id/secrets/:secretId': async () => ({ params: await client() }),
    'PATCH /api/v1/admin/users/:id': () =>
      Promise.resolve({ params: { id: colleague.id }, json: { partitions: ['p1'] } }),
    'DELETE /api/v1/admin/users/:id/second-factors': async () => {
      await passkeyOf(colleague.id);
      return { params: { id: colleague.id } };
    },
    'PATCH /api/v1/admin/tenants/:id': () =>
      Promise.resolve({ params: { id: '1' }, none: { id: '987654' }, json: { name: 'First' } }),
    'PATCH /api/v1/admin/devices/:id': async () => ({ params: await device(), json: { isActive: false } }),
    'PUT /api/v1/admin/keys/:id/update': async () => ({
      params: await apiKey(),
      json: { permissions: ['chat'] },
    }),
    'POST /api/v1/admin/keys/:id/rotate': async () => ({ params: await apiKey(), json: {} }),
    'DELETE /api/v1/admin/keys/:id/revoke': async () => ({ params: await apiKey() }),
    'PUT /api/v1/admin/clients/:id': async () => ({ params: await keyOwner(), json: { name: 'x' } }),
    'DELETE /api/v1/admin/ip-rules/:id': async () => ({ params: await ipRule() }),
  };
  /** Terminals belong to nobody until somebody in a tenant takes them in, by a code that is a secret. */
  const OF_NO_TENANT = ['GET /api/device/:user_code'];

  /** Somebody with every right in another tenant. */
  const ownerElsewhere = async (): Promise<string> => {
    const { id: tenantId } = (await admin('/tenants', { name: 'Second' }))['tenant'] as { id: number };
    const email = 'owner@second.example.com';
    await admin('/invitations', { email, role: 'owner', tenantId });
    const [mail] = await mailsTo(gateway, email);
    const invited = { token: /#(siv_\S+)/.exec(mail!.text)?.[1], username: 'elsewhere', password: PASSWORD };
    await call(gateway, '/api/invitations/accept', { json: invited });
    const { body } = await call(gateway, '/api/login', {
      json: { email, password: PASSWORD, tenant_id: tenantId },
    });
    const access = String(body['access_token']);
    const { tenantId: where, scopes } = await gateway.identity.authenticate(access);
    expect([where, scopes.has('admin')]).to.deep.equal([tenantId, true]);
    return access;
  };

  it('[S63] wants to know who asks, or is on the list of those that do not', async () => {
    const open: string[] = [];
    for (const route of routes()) {
      const { status } = await ask(route, { params: {}, json: {} }, {});
      if (![401, 403, 404].includes(status)) open.push(route);
    }
    expect(open.filter((route) => !PUBLIC.includes(route))).to.deep.equal([]);
    expect(PUBLIC.filter((route) => !open.includes(route))).to.deep.equal([]);
  });

  it('[S63] takes no made-up credentials either', async () => {
    const taken: unknown[] = [];
    for (const route of routes().filter((one) => !PUBLIC.includes(one)))
      for (const by of [{ bearer: 'a.b.c' }, { key: 'slk_1_abcdefgh_made-up' }]) {
        const { status } = await ask(route, { params: {}, json: {} }, by);
        if (status !== 401) taken.push([route, status]);
      }
    expect(taken).to.deep.equal([]);
  });

  it('[S63] that names a thing does nothing with one of another tenant, and says nothing of it', async () => {
    const named = routes().filter((route) => route.includes(':'));
    expect(named.filter((route) => !OF_NO_TENANT.includes(route)).sort()).to.deep.equal(
      Object.keys(TARGETS).sort(),
    );
    const stranger = { bearer: await ownerElsewhere() };
    for (const [route, make] of Object.entries(TARGETS)) {
      const target = await make();
      const byName = await ask(route, target, stranger, '?tenantId=1');
      const foreign = await ask(route, target, stranger);
      const none = await ask(route, { ...target, params: target.none ?? {} }, stranger);
      // what was refused was there, and could have been had
      const own = await ask(route, target, { bearer: owner.access });
      const { requestId: _one, ...told } = foreign.body;
      const { requestId: _other, ...toldOfNothing } = none.body;
      expect([route, byName.status, foreign.status], foreign.text).to.deep.equal([route, 403, 404]);
      expect(told, route).to.deep.equal(toldOfNothing);
      expect(own.status, `${route} ${own.text}`).to.be.within(200, 299);
    }
  });
});
