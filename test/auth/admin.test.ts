import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openAdminKey } from '../../server/auth/admin-key.ts';
import { parseConfig } from '../../server/config.ts';
import { auditRows, call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('administration', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const admin = (path: string, request: Call = {}): Promise<Answer> =>
    call(gateway, `/api/v1/admin${path}`, { key: ADMIN_KEY, ...request });
  const patchUser = (id: string, json: unknown, by: Call = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, `/api/v1/admin/users/${id}`, { method: 'PATCH', json, ...by });

  it('the admin key is made on the first start in a file of mode 0600, kept, and compared exactly', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-key-'));
    const config = parseConfig({ DATA_DIR: join(dir, 'data') });
    const [one, two] = await Promise.all([openAdminKey(config), openAdminKey(config)]);
    const key = (await readFile(one.file!, 'utf8')).trim();
    const { mode } = await stat(one.file!);
    expect(mode & 0o777).to.equal(0o600);
    expect([one.find(key, 1)?.kind, two.find(key, 1)?.tenantId]).to.deep.equal(['api_key', 1]);
    for (const wrong of ['', key.slice(1), `${key}x`, key.toUpperCase()])
      expect(one.find(wrong, 1)).to.equal(undefined);
    await rm(dir, { recursive: true });
  });

  it('a wrong key, no key, and a key together with a token are refused', async () => {
    const { access } = await clientTokens(gateway, await createClient(gateway));
    const answers = [
      await admin('/users', { key: 'wrong' }),
      await call(gateway, '/api/v1/admin/users'),
      await admin('/users', { bearer: access }),
      await call(gateway, '/api/v1/admin/users', { bearer: access }),
    ];
    expect(answers.map((answer) => answer.status)).to.deep.equal([401, 401, 401, 403]);
  });

  it('a client for a tenant that does not exist is refused with advice; tenants can be created, with their clock', async () => {
    const refused = await admin('/oauth-clients', { json: { name: 'x', tenantId: 7 } });
    const made = await admin('/tenants', { json: { name: 'Second' } });
    const { id } = made.body['tenant'] as { id: number };
    const registered = await admin('/oauth-clients', { json: { name: 'x', tenantId: id } });
    const clocks = await gateway.db.sql('SELECT 1 FROM sync_versions WHERE tenant_id = $1', [id]);
    expect([refused.status, refused.body['code']]).to.deep.equal([404, 'not_found']);
    expect(refused.body['detail']).to.include('/api/v1/admin/tenants');
    expect([made.status, registered.status, clocks.length]).to.deep.equal([201, 201, 1]);
    expect(registered.body['client_id']).to.match(new RegExp(`^slc_${id}_`));
  });

  it('the secret is shown once and the list shows none', async () => {
    const client = await createClient(gateway);
    const list = await admin('/oauth-clients');
    expect(list.text).to.include(client.clientId).and.not.include(client.secret);
  });

  it('people get partitions and roles, and both count at once', async () => {
    await createPerson(gateway);
    const person = await createPerson(gateway);
    const { access } = await logIn(gateway, person.username);
    await patchUser(person.id, { partitions: ['branch-1', 'branch-2:read'], role: 'operator' });
    const me = await call(gateway, '/auth/me', { bearer: access });
    const fresh = await call(gateway, '/auth/me', { bearer: (await logIn(gateway, person.username)).access });
    expect(me.body['partitions']).to.deep.equal({ read: ['branch-1', 'branch-2'], write: ['branch-1'] });
    expect(fresh.body['scopes']).to.include('sync:write');
    expect(await auditRows(gateway, 'user.changed')).to.have.length(1);
  });

  it('an owner is changed by an owner only, and the last one stays', async () => {
    const owner = await createPerson(gateway);
    const other = await createPerson(gateway);
    await patchUser(other.id, { role: 'admin' });
    const bearer = (await logIn(gateway, other.username)).access;
    const answers = [
      await patchUser(owner.id, { disabled: true }, { bearer }),
      await patchUser(other.id, { role: 'owner' }, { bearer }),
      await patchUser(owner.id, { role: 'member' }),
      await patchUser(owner.id, { disabled: true }),
    ];
    expect(answers.map((answer) => answer.status)).to.deep.equal([403, 403, 403, 403]);
  });

  it('two owners who dismiss each other at once leave one', async () => {
    const [one, two] = [await createPerson(gateway), await createPerson(gateway)];
    await patchUser(two.id, { role: 'owner' });
    const [a, b] = [await logIn(gateway, one.username), await logIn(gateway, two.username)];
    await Promise.all([
      patchUser(two.id, { role: 'member' }, { bearer: a.access }),
      patchUser(one.id, { role: 'member' }, { bearer: b.access }),
    ]);
    expect(await gateway.db.sql(`SELECT 1 FROM users WHERE role = 'owner'`)).to.have.length(1);
  });

  it('[S54] fields that could grant something are refused wherever they do not belong', async () => {
    const person = await createPerson(gateway);
    const signup = { username: 'eve', email: 'eve@example.com', password: PASSWORD };
    const extras = [
      { role: 'owner' },
      { partitions: ['*'] },
      { tenant_id: 2 },
      { verified_at: '2026-01-01' },
      { id: person.id },
    ];
    const answers = await Promise.all(
      extras.map((extra) => call(gateway, '/api/signup', { json: { ...signup, ...extra } })),
    );
    answers.push(
      await patchUser(person.id, { tenant_id: 2 }),
      await patchUser(person.id, { verified: true }),
    );
    answers.push(await admin('/oauth-clients', { json: { name: 'x', clientId: 'slc_1_mine' } }));
    answers.push(await admin('/oauth-clients', { json: { name: 'x', scopes: ['everything'] } }));
    expect(new Set(answers.map((answer) => answer.body['code']))).to.deep.equal(new Set(['invalid_request']));
    expect(await gateway.db.sql(`SELECT 1 FROM users WHERE username = 'eve'`)).to.have.length(0);
  });

  it('[S54] nobody grants what they do not have', async () => {
    const limited = await createClient(gateway, { scopes: ['admin'], partitions: ['branch-1'] });
    const bearer = String((await token(gateway, limited)).body['access_token']);
    const ask = (partitions: string[]): Promise<Answer> =>
      call(gateway, '/api/v1/admin/oauth-clients', { json: { name: 'x', partitions }, bearer });
    const statuses = [];
    for (const partitions of [['branch-1'], ['branch-1:read'], ['branch-2'], ['*'], ['*:read']]) {
      statuses.push((await ask(partitions)).status);
    }
    expect(statuses).to.deep.equal([201, 201, 403, 403, 403]);
  });

  it('[S63] an administrator of one tenant learns and changes nothing of another', async () => {
    const { body } = await admin('/tenants', { json: { name: 'Second' } });
    const tenantId = (body['tenant'] as { id: number }).id;
    const foreign = await createClient(gateway, {
      tenantId,
      scopes: ['admin', 'audit:read'],
      partitions: ['*'],
    });
    const bearer = String((await token(gateway, foreign)).body['access_token']);
    const victim = await createClient(gateway);
    const person = await createPerson(gateway);
    const path = `/api/v1/admin/oauth-clients/${victim.id}`;
    const by = { bearer };
    const answers = [
      await call(gateway, path, { method: 'PATCH', json: { disabled: true }, ...by }),
      await call(gateway, `${path}/secrets`, { json: {}, ...by }),
      await call(gateway, `${path}/secrets/${victim.secretId}`, { method: 'DELETE', ...by }),
      await patchUser(person.id, { role: 'member' }, by),
      await call(gateway, '/api/v1/admin/oauth-clients', { json: { name: 'x', tenantId: 1 }, ...by }),
      await call(gateway, '/api/v1/admin/users?tenantId=1', by),
      await call(gateway, '/audit/logs?tenantId=1', by),
      await call(gateway, '/api/v1/admin/tenants', { json: { name: 'Third' }, ...by }),
    ];
    const lists = [
      await call(gateway, '/api/v1/admin/oauth-clients', by),
      await call(gateway, '/api/v1/admin/users', by),
      await call(gateway, '/audit/logs?limit=500', by),
    ]
      .map((answer) => answer.text)
      .join('');
    expect(answers.map((answer) => answer.status)).to.deep.equal([404, 404, 404, 404, 403, 403, 403, 403]);
    expect(lists).not.to.include(victim.id).and.not.include(person.id).and.not.include(person.email);
    expect((await token(gateway, victim)).status).to.equal(200);
  });
});

describe('the audit log', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('[S61] every authentication event leaves one row, and no secret is in any row or log line', async () => {
    const secrets: string[] = [PASSWORD, ADMIN_KEY];
    const person = await createPerson(gateway);
    await call(gateway, '/api/login', { json: { username: person.username, password: 'a wrong one' } });
    const tokens = await logIn(gateway, person.username);
    const { body } = await call(gateway, '/auth/refresh', { json: { refresh_token: tokens.refresh } });
    await call(gateway, '/auth/logout', { method: 'POST', bearer: tokens.access });
    const client = await createClient(gateway);
    await token(gateway, { clientId: client.clientId, secret: 'wrong' });
    const { access } = await clientTokens(gateway, client);
    secrets.push(
      'a wrong one',
      tokens.access,
      tokens.refresh,
      String(body['refresh_token']),
      client.secret,
      access,
    );
    const rows = await gateway.db.sql<{ action: string; success: boolean }>(
      'SELECT * FROM audit_logs ORDER BY id',
    );
    expect(rows.map((row) => `${row.action} ${row.success}`)).to.deep.equal([
      'key.created true',
      'auth.signup true',
      'auth.verify_email true',
      'auth.login false',
      'auth.login true',
      'auth.refresh true',
      'auth.logout true',
      'client.registered true',
      'oauth.client_authentication false',
      'oauth.token true',
    ]);
    const written = JSON.stringify(rows) + gateway.logged();
    expect(secrets.filter((secret) => written.includes(secret))).to.deep.equal([]);
  });

  it('[S61] an event that is rolled back leaves no row: audit and effect are one transaction', async () => {
    const client = await createClient(gateway);
    await gateway.db.sql('ALTER TABLE refresh_tokens ADD CONSTRAINT broken CHECK (false) NOT VALID');
    const answer = await token(gateway, client);
    await gateway.db.sql('ALTER TABLE refresh_tokens DROP CONSTRAINT broken');
    expect([answer.status, (await auditRows(gateway, 'oauth.token')).length]).to.deep.equal([500, 0]);
    expect(await gateway.db.sql('SELECT 1 FROM sessions')).to.have.length(0);
  });

  it('[S62] refuses UPDATE, DELETE and TRUNCATE', async () => {
    for (const statement of [
      `UPDATE audit_logs SET success = true`,
      'DELETE FROM audit_logs',
      'TRUNCATE audit_logs',
    ]) {
      const failure = await gateway.db.sql(statement).catch((error: unknown) => (error as Error).message);
      expect(failure).to.equal('audit_logs is append-only');
    }
  });

  it('is read newest first, filtered and paged, with the scope audit:read', async () => {
    const auditor = await createClient(gateway, { scopes: ['audit:read'] });
    const bearer = String((await token(gateway, auditor)).body['access_token']);
    for (let i = 0; i < 3; i += 1) await token(gateway, auditor);
    const page = (query: string): Promise<Answer> => call(gateway, `/audit/logs?${query}`, { bearer });
    const first = await page('action=oauth.token&limit=3');
    const second = await page(`action=oauth.token&limit=3&after=${String(first.body['next'])}`);
    const failed = await page('success=false');
    const future = await page('from=2100-01-01T00:00:00Z');
    const bad = await page('from=yesterday');
    const count = (answer: Answer): number => (answer.body['logs'] as unknown[]).length;
    expect([count(first), count(second), count(failed), count(future), bad.status]).to.deep.equal([
      3, 1, 0, 0, 400,
    ]);
    const [row] = first.body['logs'] as Record<string, unknown>[];
    expect(row).to.include({ action: 'oauth.token', principal: `client:${auditor.id}`, success: true });
    expect(row).to.include.keys('id', 'at', 'ip', 'requestId', 'details');
  });
});

describe('[S23] a database dump', () => {
  it('holds no usable token, code, secret, password or key', async () => {
    const gateway = await startGateway();
    const secrets: string[] = [PASSWORD, ADMIN_KEY];
    const person = await createPerson(gateway);
    await call(gateway, '/api/signup', {
      json: { username: 'pending', email: 'p@example.com', password: PASSWORD },
    });
    const tokens = await logIn(gateway, person.username);
    const { body } = await call(gateway, '/auth/refresh', { json: { refresh_token: tokens.refresh } });
    const client = await createClient(gateway);
    const own = await clientTokens(gateway, client);
    secrets.push(
      tokens.access,
      tokens.refresh,
      String(body['refresh_token']),
      client.secret,
      own.refresh,
      own.access,
    );
    const { exportJWK } = await import('jose');
    const { d } = await exportJWK(gateway.identity.core.keys.signer().key).catch(() => ({ d: undefined }));
    if (d !== undefined) secrets.push(d);
    const tables = await gateway.db.sql<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
    );
    const rows = await Promise.all(
      tables.map(({ name }) => gateway.db.sql(`SELECT to_json(t) AS row FROM ${name} t`)),
    );
    const dump = JSON.stringify(rows);
    const bytea = (text: string): string => Buffer.from(text).toString('hex');
    const codes = (await gateway.db.sql<{ hash: Buffer }>('SELECT hash FROM one_time_codes')).map((row) =>
      row.hash.toString('hex'),
    );
    const { createHash } = await import('node:crypto');
    const guessable = Array.from({ length: 1_000_000 }, (_, i) => String(i).padStart(6, '0')).some((code) =>
      codes.includes(createHash('sha256').update(code).digest('hex')),
    );
    await gateway.close();
    expect(secrets.filter((secret) => dump.includes(secret) || dump.includes(bytea(secret)))).to.deep.equal(
      [],
    );
    expect([codes.length > 0, guessable]).to.deep.equal([true, false]);
  });
});
