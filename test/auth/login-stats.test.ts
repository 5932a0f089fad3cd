import { expect } from 'chai';
import { call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const HOUR_MS = 3_600_000;
type Counts = Record<'attempts' | 'failures' | 'tokens_issued' | 'refreshed' | 'revoked', number>;
type Buckets = (Counts & { at: string })[];

describe('GET /auth/stats', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  const ask = async (query = '', how: object = { key: ADMIN_KEY }): Promise<Buckets> =>
    (await call(gateway, `/auth/stats${query}`, how)).body['buckets'] as Buckets;
  const sum = (buckets: Buckets): Counts => {
    const total = { attempts: 0, failures: 0, tokens_issued: 0, refreshed: 0, revoked: 0 };
    for (const bucket of buckets)
      for (const name of Object.keys(total) as (keyof Counts)[]) total[name] += bucket[name];
    return total;
  };

  it('counts attempts, failures, tokens, refreshes and ends', async () => {
    await createPerson(gateway, { username: 'ana' });
    await logIn(gateway, 'ana', 'not the password');
    await logIn(gateway, 'nobody');
    const { access, refresh } = await logIn(gateway, 'ana');
    await logIn(gateway, 'ana');
    const client = await createClient(gateway);
    await clientTokens(gateway, client);
    await token(gateway, { ...client, secret: 'wrong' });
    const renewed = await call(gateway, '/auth/refresh', { json: { refresh_token: refresh } });
    expect(renewed.status).to.equal(200);
    await call(gateway, '/auth/logout', { json: {}, bearer: access });
    expect(sum(await ask())).to.deep.equal({
      attempts: 6,
      failures: 3,
      tokens_issued: 3,
      refreshed: 1,
      revoked: 1,
    });
  });

  it('an end of many sessions counts each of them', async () => {
    const person = await createPerson(gateway, { username: 'ana' });
    for (let i = 0; i < 3; i += 1) await logIn(gateway, 'ana');
    const target = { tenantId: 1, kind: 'user', id: person.id } as const;
    await gateway.identity.revoke(target, { reason: 'test', by: null });
    expect(sum(await ask()).revoked).to.equal(3);
  });

  it('has a bucket for each hour or day in UTC, also where nothing happened; the ends of the range lie inside', async () => {
    const at = async (time: string): Promise<void> => {
      await gateway.db.sql(
        `INSERT INTO audit_logs (tenant_id, at, action, success) VALUES (1, $1, 'auth.login', true)`,
        [time],
      );
    };
    await at('2026-03-01T10:00:00Z');
    await at('2026-03-01T10:59:59.999Z');
    await at('2026-03-01T12:00:00Z');
    await at('2026-03-02T00:30:00Z');
    const hours = await ask('?from=2026-03-01T10:15:00Z&to=2026-03-01T12:30:00Z');
    const days = await ask('?from=2026-03-01T00:00:00Z&to=2026-03-03T00:00:00Z&bucket=day');
    const summer = await ask(
      `?from=${encodeURIComponent('2026-03-01T12:15:00+02:00')}&to=2026-03-01T11:00:00Z`,
    );
    const told = (buckets: Buckets): [string, number][] => buckets.map((one) => [one.at, one.attempts]);
    expect(told(hours)).to.deep.equal([
      ['2026-03-01T10:00:00.000Z', 2],
      ['2026-03-01T11:00:00.000Z', 0],
      ['2026-03-01T12:00:00.000Z', 1],
    ]);
    expect(told(days)).to.deep.equal([
      ['2026-03-01T00:00:00.000Z', 3],
      ['2026-03-02T00:00:00.000Z', 1],
    ]);
    expect(told(summer)).to.deep.equal([['2026-03-01T10:00:00.000Z', 2]]);
  });

  it('a password that a second factor has to follow is counted with that, once', async () => {
    const row = `INSERT INTO audit_logs (tenant_id, action, success, code) VALUES (1, $1, $2, $3)`;
    await gateway.db.sql(row, ['auth.login', false, 'mfa_required']);
    await gateway.db.sql(row, ['auth.login_mfa', true, null]);
    expect(sum(await ask())).to.include({ attempts: 1, failures: 0, tokens_issued: 1 });
  });

  it('answers with a day by the hour, or a month by the day, when nothing is said', async () => {
    expect((await ask()).length).to.be.within(24, 25);
    expect((await ask('?bucket=day')).length).to.be.within(30, 31);
  });

  it('refuses a range that is empty, turned round, too long, or none', async () => {
    const to = Date.now();
    const long = new Date(to - 900 * HOUR_MS).toISOString();
    const ranges = [
      `?from=${long}`,
      '?from=0001-01-01T00:00:00Z&bucket=day',
      '?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z',
      '?from=2026-03-01T00:00:00Z&to=2026-03-01T00:00:00Z',
      '?from=yesterday',
      '?bucket=minute',
    ];
    const answers = await Promise.all(
      ranges.map((range) => call(gateway, `/auth/stats${range}`, { key: ADMIN_KEY })),
    );
    expect(answers.map(({ status, body }) => [status, body['code']])).to.deep.equal(
      ranges.map(() => [400, 'invalid_request']),
    );
  });

  it('needs the scope audit:read', async () => {
    const { access } = await clientTokens(gateway, await createClient(gateway));
    const audit = await clientTokens(gateway, await createClient(gateway, { scopes: ['audit:read'] }));
    const answers = await Promise.all([
      call(gateway, '/auth/stats'),
      call(gateway, '/auth/stats', { bearer: access }),
      call(gateway, '/auth/stats', { bearer: audit.access }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal([401, 403, 200]);
  });

  it("[S63] counts the caller's tenant alone", async () => {
    const { body } = await call(gateway, '/api/v1/admin/tenants', {
      json: { name: 'other' },
      key: ADMIN_KEY,
    });
    const tenantId = Number((body['tenant'] as { id?: number } | undefined)?.id);
    await clientTokens(gateway, await createClient(gateway, { tenantId }));
    const audit = await clientTokens(gateway, await createClient(gateway, { scopes: ['audit:read'] }));
    const how = { bearer: audit.access };
    const named = await call(gateway, `/auth/stats?tenantId=${tenantId}`, how);
    expect(sum(await ask('', how))).to.include({ attempts: 1, tokens_issued: 1 });
    expect(sum(await ask(`?tenantId=${tenantId}`))).to.include({ attempts: 1, tokens_issued: 1 });
    expect([named.status, named.body['code']]).to.deep.equal([403, 'forbidden']);
  });

  it('is answered from an index of its own, not from the whole log', async () => {
    const { countLogins } = await import('../../server/auth/login-stats.ts');
    await gateway.db.sql(
      `INSERT INTO audit_logs (tenant_id, action, success) SELECT 1, 'sync.push', true FROM generate_series(1, 20000)`,
    );
    await gateway.db.sql('ANALYZE audit_logs');
    const plans: string[] = [];
    const range = { from: new Date(Date.now() - HOUR_MS), to: new Date(), bucket: 'hour' } as const;
    await countLogins(
      async <Row>(text: string, values?: readonly unknown[]) => {
        plans.push(JSON.stringify(await gateway.db.sql(`EXPLAIN ${text}`, values)));
        return [] as Row[];
      },
      1,
      range,
    );
    expect(plans.join()).to.include('audit_logs_logins_idx');
  });
});
