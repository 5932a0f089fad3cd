import { expect } from 'chai';
import { createApiKeyStates } from '../../server/auth/api-key-states.ts';
import { startMaintenance } from '../../server/auth/maintenance.ts';
import { createApiKey, sha256 } from '../../server/auth/opaque.ts';
import type { Sql } from '../../server/db.ts';
import { createLocalHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { auditRows, call } from './support/client.ts';
import { codeOf, dataOf } from './support/device-suite.ts';
import { dump } from './support/dump.ts';
import { ADMIN_KEY, createClock, startGateway } from './support/gateway.ts';
import { toKey, useApiKeys } from './support/key-suite.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;

describe('API keys', () => {
  const suite = useApiKeys();
  const { start, admin, create, createKey, use, update, revoke, rotate } = suite;

  it('are shown once, open what they are for, and are listed by their prefix', async () => {
    await start();
    const made = await create({ permissions: ['read', 'chat'], partitions: ['p1', 'p2:read'] });
    const { apiKey } = toKey(made);
    const me = await use(apiKey);
    const list = await admin('/keys/list?page=1&limit=20');
    expect([made.status, made.headers.get('cache-control')]).to.deep.equal([201, 'no-store']);
    expect(apiKey).to.match(/^slk_1_[0-9a-f]{16}_[\w-]{43}$/);
    expect(me.body['scopes']).to.deep.equal(['sync:read', 'chat']);
    expect(me.body['partitions']).to.deep.equal({ read: ['p1', 'p2'], write: ['p1'] });
    expect(me.body['user']).to.include({ kind: 'api_key', username: 'Shop', tenant_id: 1 });
    expect(list.text).not.to.include(apiKey);
    expect(list.text).to.include(apiKey.split('_')[2]);
    expect(dataOf(list)['pagination']).to.deep.equal({ page: 1, limit: 20, total: 1, pages: 1 });
  });

  it('the admin key says who it is', async () => {
    await start();
    expect((await use(ADMIN_KEY)).body['scopes']).to.deep.equal(['admin']);
  });

  it('[S52] unknown, wrong, cut and malformed keys get one answer, with the same look-up and one audit row each', async () => {
    await start();
    const { apiKey } = await createKey();
    const wrong = [
      createApiKey(1).key,
      createApiKey(77).key,
      `${apiKey.slice(0, -43)}${createApiKey(1).key.slice(-43)}`,
      apiKey.slice(0, -1),
      `${apiKey}x`,
      apiKey.toUpperCase(),
      "slk_1_' OR 1=1 --",
    ];
    const answers = [];
    for (const key of wrong) answers.push(await use(key));
    const shapes = answers.map((answer) => JSON.stringify([...codeOf(answer), answer.body['detail']]));
    const rows = await auditRows(suite.gateway, 'api_key.authentication');
    expect(new Set(shapes)).to.deep.equal(
      new Set([JSON.stringify([401, 'unauthenticated', 'There is no such API key.'])]),
    );
    expect(rows.map(({ success, code }) => [success, code])).to.deep.equal(
      wrong.map(() => [false, 'unauthenticated']),
    );
    expect((await use(apiKey)).status).to.equal(200);
  });

  it('[S52] the prefix finds a key and proves nothing: what is compared is the whole', async () => {
    await start();
    const { apiKey } = await createKey();
    await use(apiKey);
    // also when the key has just been used and nothing is looked up
    const [, tenant, prefix] = apiKey.split('_');
    for (const secret of ['A'.repeat(43), createApiKey(1).key.slice(-43)])
      expect((await use(`slk_${tenant}_${prefix}_${secret}`)).status).to.equal(401);
    const [row] = await suite.gateway.db.sql<{ hash: Buffer }>('SELECT hash FROM api_key_secrets');
    expect(row?.hash.equals(sha256(apiKey))).to.equal(true);
  });

  it('[S52] a revoked, a switched off and an expired key are refused; each is told why', async () => {
    await start();
    const expiresAt = new Date(suite.gateway.clock() + MINUTE).toISOString();
    const [gone, off, old] = [await createKey(), await createKey(), await createKey({ expiresAt })];
    for (const { apiKey } of [gone, off, old]) expect((await use(apiKey)).status).to.equal(200);
    await revoke(gone.id);
    await update(off.id, { isActive: false });
    suite.gateway.clock.advance(MINUTE);
    const refusals = [await use(gone.apiKey), await use(off.apiKey), await use(old.apiKey)];
    expect(refusals.map(codeOf)).to.deep.equal([
      [401, 'revoked'],
      [401, 'revoked'],
      [401, 'token_expired'],
    ]);
    await update(off.id, { isActive: true });
    expect((await use(off.apiKey)).status).to.equal(200);
    expect(codeOf(await update(gone.id, { isActive: true }))).to.deep.equal([403, 'forbidden']);
  });

  it('[S52] a key does what it is for and no more', async () => {
    await start();
    const { apiKey } = await createKey({ permissions: ['sync:read', 'config:read'] });
    const answers = [
      await call(suite.gateway, '/audit/logs', { key: apiKey }),
      await call(suite.gateway, '/api/v1/admin/users', { key: apiKey }),
      await call(suite.gateway, '/api/v1/admin/keys/list', { key: apiKey }),
    ];
    expect(answers.map((answer) => answer.status)).to.deep.equal([403, 403, 403]);
  });

  it('rotating gives the same key a new secret; the old one works for the overlap and no longer', async () => {
    await start();
    const key = await createKey({ partitions: ['p1'] });
    const next = toKey(await rotate(key.id, { overlapSeconds: 60 }));
    const during = [await use(key.apiKey), await use(next.apiKey)];
    suite.gateway.clock.advance(MINUTE);
    const after = [await use(key.apiKey), await use(next.apiKey)];
    expect(next.id).to.equal(key.id);
    const list = await admin('/keys/list');
    const [listed] = dataOf(list)['apiKeys'] as { prefixes: { expiresAt: string | null }[] }[];
    expect(listed?.prefixes.map(({ expiresAt }) => expiresAt))
      .to.have.length(2)
      .and.include(null);
    expect(listed?.prefixes[0]?.expiresAt).to.match(/^\d{4}-.*\.\d{3}Z$/);
    expect(during.map((answer) => (answer.body['user'] as { id: string }).id)).to.deep.equal([
      key.id,
      key.id,
    ]);
    expect(after.map((answer) => answer.status)).to.deep.equal([401, 200]);
    const once = toKey(await rotate(key.id, { overlapSeconds: 0 }));
    expect([(await use(next.apiKey)).status, (await use(once.apiKey)).status]).to.deep.equal([401, 200]);
  });

  it('changed permissions count with the next request', async () => {
    await start();
    const { id, apiKey } = await createKey();
    await use(apiKey);
    await update(id, { permissions: ['chat'], partitions: ['p9'] });
    const me = await use(apiKey);
    expect([me.body['scopes'], me.body['partitions']]).to.deep.equal([
      ['chat'],
      { read: ['p9'], write: ['p9'] },
    ]);
  });

  it('[S22] an owner that is switched off takes its keys along, and gives them back', async () => {
    await start();
    const made = await create();
    const { apiKey } = toKey(made);
    const path = `/clients/${String(dataOf(made)['clientId'])}`;
    await use(apiKey);
    await admin(path, { method: 'PUT', json: { isActive: false } });
    const off = await use(apiKey);
    await admin(path, { method: 'PUT', json: { isActive: true } });
    expect([codeOf(off), (await use(apiKey)).status]).to.deep.equal([[401, 'revoked'], 200]);
  });

  it('last use is noted, once a minute', async () => {
    await start();
    const { apiKey } = await createKey();
    const lastUse = async (): Promise<number> => {
      const [row] = await suite.gateway.db.sql<{ last_used_at: Date }>('SELECT last_used_at FROM api_keys');
      return row?.last_used_at.getTime() ?? 0;
    };
    await use(apiKey);
    const first = await lastUse();
    suite.gateway.clock.advance(MINUTE / 2);
    await use(apiKey);
    const second = await lastUse();
    suite.gateway.clock.advance(MINUTE / 2);
    await use(apiKey);
    expect([first > 0, second - first]).to.deep.equal([true, 0]);
    expect((await lastUse()) - first).to.be.at.least(MINUTE);
  });

  const refusalAfterRevoking = async (hints: Hints, look: boolean): Promise<unknown[]> => {
    const clock = createClock();
    await start({ clock, hints });
    const other = await startGateway({ db: suite.gateway.db, clock, hints });
    const key = await createKey();
    await use(key.apiKey, other);
    await revoke(key.id);
    if (look) await other.identity.core.revocations.poll();
    const answer = await use(key.apiKey, other);
    await other.close();
    return codeOf(answer);
  };

  it('[S57] a key revoked on one node is refused on the other at once', async () => {
    expect(await refusalAfterRevoking(createLocalHints(), false)).to.deep.equal([401, 'revoked']);
  });

  it('[S57] a key revoked on one node is refused on the other with the next look, when the hint is lost', async () => {
    expect(await refusalAfterRevoking(deaf, true)).to.deep.equal([401, 'revoked']);
  });

  it('[S22] a key that is revoked while it is being looked up is looked up again', async () => {
    await start();
    const key = await createKey();
    const place = { tenantId: 1, prefix: key.apiKey.split('_')[2] ?? '' };
    const { sql } = suite.gateway.db;
    let reads = 0;
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow: Sql = async <Row>(text: string, values?: readonly unknown[]) => {
      const rows = await sql<Row>(text, values);
      reads += 1;
      await held;
      return rows;
    };
    const states = createApiKeyStates(slow, suite.gateway.clock);
    const loading = states.load(place);
    while (reads === 0) await new Promise((resolve) => setImmediate(resolve));
    await revoke(key.id);
    states.forget(1, `api_key:${key.id}`);
    release();
    expect((await loading)?.usable).to.equal(false);
  });

  it('[S22] a request that waits has its key’s rights as of now', async () => {
    await start();
    const { id, apiKey } = await createKey();
    const principal = await suite.gateway.identity.authenticateKey(apiKey);
    expect(await suite.gateway.identity.current(principal)).to.equal(principal);
    await update(id, { permissions: ['chat'] });
    expect([...(await suite.gateway.identity.current(principal)).scopes]).to.deep.equal(['chat']);
    await revoke(id);
    const failure = await suite.gateway.identity.current(principal).catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'revoked');
  });

  it('[S23] [S61] every act leaves one row; neither rows, logs nor tables hold a key', async () => {
    await start();
    const key = await createKey();
    await use(key.apiKey);
    const next = toKey(await rotate(key.id, { overlapSeconds: 0 }));
    const wrong = createApiKey(1).key;
    await use(wrong);
    await update(key.id, { rateLimit: 7 });
    await revoke(key.id);
    await use(next.apiKey);
    const rows = await suite.gateway.db.sql<{ action: string; success: boolean; code: string | null }>(
      'SELECT * FROM audit_logs ORDER BY id',
    );
    expect(rows.map(({ action, code }) => `${action} ${code ?? 'ok'}`)).to.deep.equal([
      'key.created ok',
      'key_owner.created ok',
      'api_key.created ok',
      'api_key.rotated ok',
      'api_key.authentication unauthenticated',
      'api_key.changed ok',
      'session.revoked ok',
      'api_key.authentication revoked',
    ]);
    const kept = (await dump(suite.gateway)) + suite.gateway.logged();
    for (const secret of [key.apiKey, next.apiKey, wrong])
      expect(kept).not.to.include(secret).and.not.to.include(secret.slice(-43));
  });

  it('[S61] revoking a key that is revoked changes nothing and leaves no row', async () => {
    await start();
    const { id } = await createKey();
    const first = await revoke(id);
    suite.gateway.clock.advance(1_000);
    const answers = await Promise.all([revoke(id), revoke(id)]);
    expect([first, ...answers].map(({ status }) => status)).to.deep.equal([200, 200, 200]);
    for (const answer of answers) expect(answer.body['data']).to.deep.equal(first.body['data']);
    expect(await auditRows(suite.gateway, 'session.revoked')).to.have.length(1);
  });

  it('[S54] a key is judged and revoked in one transaction, so that nobody gives it more rights in between', async () => {
    await start();
    const { id } = await createKey();
    const { db } = suite.gateway;
    const transaction = db.transaction.bind(db);
    const transactions: string[][] = [];
    db.transaction = async (work) =>
      transaction(({ sql, em }) => {
        const statements: string[] = [];
        transactions.push(statements);
        return work({ em, sql: (text, values) => (statements.push(text), sql(text, values)) });
      });
    await revoke(id);
    db.transaction = transaction;
    const touching = transactions.filter((texts) => texts.some((text) => text.includes('api_keys')));
    expect(touching).to.have.length(1);
    expect(touching[0]!.filter((text) => /FOR UPDATE|api_keys SET revoked_at/.test(text))).to.have.length(2);
  });

  it('a secret that ended long ago is forgotten', async () => {
    await start();
    const key = await createKey();
    await rotate(key.id, { overlapSeconds: 0 });
    suite.gateway.clock.advance(2 * DAY);
    const maintenance = startMaintenance(suite.gateway.identity.core);
    await maintenance.cleanUp();
    maintenance.close();
    expect(await suite.gateway.db.sql('SELECT 1 FROM api_key_secrets')).to.have.length(1);
  });
});

/** A bus that loses everything. */
const deaf: Hints = {
  publish: () => undefined,
  subscribe: () => () => undefined,
  close: () => Promise.resolve(),
};
