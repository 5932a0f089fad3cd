import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { endSessions } from '../../server/auth/revocations.ts';
import { createTokenCache } from '../../sdk/token-cache.ts';
import { createVerifier } from '../../sdk/verify.ts';
import type { Verifier } from '../../sdk/verify.ts';
import { until } from '../support/sync-gateway.ts';
import { call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { outcomeOf } from './support/issuer.ts';

interface Page {
  tenant: number;
  cursor: string;
  more: boolean;
  reset: boolean;
  revoked: { sid: string; at: string }[];
}

const REVOKE = `UPDATE sessions SET revoked_at = clock_timestamp(), revoked_xid = pg_current_xact_id()::text::bigint WHERE id = $1`;

describe('the feed of ended sessions', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  const ask = (query = '', how: { bearer?: string; key?: string } = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, `/auth/revocations${query}`, how);
  const read = async (since?: string, wait = 0): Promise<Page> => {
    const at = since === undefined ? '' : `&since=${since}`;
    return (await ask(`?wait=${wait}${at}`)).body as unknown as Page;
  };
  const ids = (page: Page): string[] => page.revoked.map(({ sid }) => sid).sort();
  /** Sessions as a client's logins leave them. */
  const openSessions = async (count: number, tenantId = 1): Promise<string[]> => {
    const sessions = Array.from({ length: count }, () => randomUUID()).sort();
    await gateway.db.sql(
      `INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, created_at, last_used_at, expires_at)
       SELECT $1, id, 'client', id, now(), now(), now() + interval '1 day' FROM unnest($2::uuid[]) AS id`,
      [tenantId, sessions],
    );
    return sessions;
  };
  const end = (id: string): Promise<unknown> =>
    gateway.identity.revoke({ tenantId: 1, kind: 'session', id }, { reason: 'test', by: null });

  it('tells of each end once, to who reads on from a cursor', async () => {
    const [a = '', b = '', c = ''] = await openSessions(3);
    await end(a);
    const first = await read();
    await end(b);
    await end(c);
    const second = await read(first.cursor);
    const third = await read(second.cursor);
    expect([first.reset, second.reset]).to.deep.equal([true, false]);
    expect([ids(first), ids(second), ids(third)]).to.deep.equal([[a], [b, c], []]);
  });

  it('[S57] an end that begins before another and is committed after it is not skipped', async () => {
    const [early = '', late = ''] = await openSessions(2);
    const { cursor } = await read();
    let isTold = (): void => undefined;
    const mayCommit = new Promise<void>((resolve) => (isTold = resolve));
    let isWritten = (): void => undefined;
    const written = new Promise<void>((resolve) => (isWritten = resolve));
    const slow = gateway.db.transaction(async ({ sql }) => {
      await endSessions(sql, { tenantId: 1, kind: 'session', id: early }, 'test');
      isWritten();
      await mayCommit;
    });
    await written;
    await end(late);
    const between = await read(cursor);
    isTold();
    await slow;
    const after = await read(between.cursor);
    expect([ids(between), ids(after)]).to.deep.equal([[late], [early]]);
  });

  it('a seeded storm of ends, read by two readers meanwhile, reaches each of them whole', async function () {
    this.timeout(60_000);
    const sessions = await openSessions(120);
    let isOver = false;
    const follow = async (): Promise<string[]> => {
      const heard: string[] = [];
      let cursor: string | undefined;
      for (let last = false; ;) {
        const page = await read(cursor);
        heard.push(...ids(page));
        cursor = page.cursor;
        if (last && page.revoked.length === 0) return heard.sort();
        last = isOver;
      }
    };
    const readers = [follow(), follow()];
    const lanes = Array.from({ length: 6 }, async (_, lane) => {
      for (const [i, id] of sessions.entries()) {
        if (i % 6 !== lane) continue;
        await gateway.db.transaction(async ({ sql }) => {
          await sql(REVOKE, [id]);
          await sql('SELECT pg_sleep($1)', [((i * 7) % 5) / 500]);
        });
      }
    });
    await Promise.all(lanes);
    isOver = true;
    expect(await Promise.all(readers)).to.deep.equal([sessions, sessions]);
  });

  it('comes in pages, and what ends between two of them is told afterwards', async () => {
    const sessions = await openSessions(1_500);
    await gateway.db.sql(REVOKE.replace('id = $1', 'id = ANY($1)'), [sessions]);
    const first = await read();
    const [late = ''] = await openSessions(1);
    await end(late);
    const second = await read(first.cursor);
    const third = await read(second.cursor);
    expect([first.more, first.revoked.length, second.more]).to.deep.equal([true, 1_000, false]);
    expect(new Set([...ids(first), ...ids(second), ...ids(third)])).to.deep.equal(
      new Set([...sessions, late]),
    );
    expect(ids(third)).to.deep.equal([late]);
  });

  it('begins anew when the cursor is of a database that knows more than this one', async () => {
    const [a = ''] = await openSessions(1);
    await end(a);
    const future = Buffer.from(JSON.stringify({ seen: '9000000000:9000000000:' })).toString('base64url');
    const page = await read(future);
    expect([page.reset, ids(page)]).to.deep.equal([true, [a]]);
  });

  it('refuses what is no cursor', async () => {
    const cursors = [
      'x',
      '%00',
      Buffer.from('{"seen":"1:0:"}').toString('base64url'),
      encode({ seen: "1' OR 1" }),
      encode({ seen: null, next: '10:20:\0' }),
    ];
    const answers = await Promise.all(cursors.map((cursor) => ask(`?since=${cursor}`)));
    expect(answers.map(({ status, body }) => [status, body['code']])).to.deep.equal(
      cursors.map(() => [400, 'invalid_request']),
    );
  });

  it('what ended longer ago than any token lives is not told any more', async () => {
    const [a = ''] = await openSessions(1);
    await end(a);
    await gateway.db.sql(
      `UPDATE sessions SET revoked_at = revoked_at - interval '17 minutes' WHERE id = $1`,
      [a],
    );
    expect(ids(await read())).to.deep.equal([]);
  });

  it('an answer waits for news, and comes with them', async () => {
    const [a = ''] = await openSessions(1);
    const { cursor } = await read();
    const started = performance.now();
    const answer = read(cursor, 20);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await end(a);
    expect(ids(await answer)).to.deep.equal([a]);
    expect(performance.now() - started).to.be.below(15_000);
  });

  it('[S57] an answer that waits finds what no hint told', async () => {
    const [a = ''] = await openSessions(1);
    const { cursor } = await read();
    const answer = read(cursor, 20);
    await gateway.db.sql(REVOKE, [a]);
    expect(ids(await answer)).to.deep.equal([a]);
  });

  it('needs the scope auth:revocations', async () => {
    const { access: without } = await clientTokens(gateway, await createClient(gateway));
    const settings = { scopes: ['auth:revocations'], partitions: [] };
    const { access } = await clientTokens(gateway, await createClient(gateway, settings));
    const answers = await Promise.all([
      ask('', {}),
      ask('', { bearer: without }),
      ask('', { bearer: access }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal([401, 403, 200]);
  });

  it("[S63] tells nothing of another tenant's sessions", async () => {
    const { body } = await call(gateway, '/api/v1/admin/tenants', {
      json: { name: 'other' },
      key: ADMIN_KEY,
    });
    const tenantId = Number((body['tenant'] as { id?: number } | undefined)?.id);
    const [theirs = ''] = await openSessions(1, tenantId);
    const settings = { scopes: ['auth:revocations'], partitions: [] };
    const { access } = await clientTokens(gateway, await createClient(gateway, settings));
    await gateway.identity.revoke({ tenantId, kind: 'session', id: theirs }, { reason: 'test', by: null });
    const mine = await ask('', { bearer: access });
    const named = await ask(`?tenantId=${tenantId}`, { bearer: access });
    expect([mine.body['revoked'], mine.body['tenant'], named.status]).to.deep.equal([[], 1, 403]);
    expect(ids((await ask(`?tenantId=${tenantId}`)).body as unknown as Page)).to.deep.equal([theirs]);
  });

  describe('followed by a verifier', () => {
    const open: Verifier[] = [];
    afterEach(() => open.splice(0).forEach((verifier) => verifier.close()));

    /** As a service uses it, with a client of its own. */
    const createFollower = async (
      options: { base?: string; maxStaleMs?: number } = {},
    ): Promise<Verifier> => {
      const client = await createClient(gateway, { scopes: ['auth:revocations'], partitions: [] });
      const tokens = createTokenCache(Date.now, async () => ({
        token: (await clientTokens(gateway, client)).access,
        expiresIn: 900,
      }));
      const { base = gateway.url, maxStaleMs = 60_000 } = options;
      const verifier = createVerifier({
        issuer: gateway.url,
        revocations: { tokens, url: `${base}/auth/revocations`, maxStaleMs },
      });
      open.push(verifier);
      return verifier;
    };

    it('[S57] a session that is revoked fails there as well, and others go on', async () => {
      await createPerson(gateway, { username: 'ana' });
      const [ended, other] = [await logIn(gateway, 'ana'), await logIn(gateway, 'ana')];
      const verifier = await createFollower();
      const before = await outcomeOf(verifier.verify(ended.access));
      await call(gateway, '/auth/logout', { json: {}, bearer: ended.access });
      await until('the news', async () => (await outcomeOf(verifier.verify(ended.access))) === 'revoked');
      expect([before, await outcomeOf(verifier.verify(other.access))]).to.deep.equal([
        'accepted',
        'accepted',
      ]);
    });

    it('[S57] one that begins after the end knows it as well', async () => {
      const { access } = await clientTokens(gateway, await createClient(gateway));
      await call(gateway, '/oauth/revoke', { form: { token: access } });
      const [session] = await gateway.db.sql<{ id: string }>(
        `SELECT id FROM sessions WHERE revoked_at IS NULL`,
      );
      await end(session?.id ?? '');
      expect(await outcomeOf((await createFollower()).verify(access))).to.equal('revoked');
    });

    it('[S57] revoked on node A, it fails at a verifier that reads from node B, hints lost', async () => {
      const env = { PUBLIC_URL: gateway.url };
      const other = await startGateway({ db: gateway.db, env });
      const { access } = await clientTokens(gateway, await createClient(gateway));
      const verifier = await createFollower({ base: other.url });
      expect(await outcomeOf(verifier.verify(access))).to.equal('accepted');
      const { sid } = JSON.parse(Buffer.from(access.split('.')[1] ?? '', 'base64url').toString()) as {
        sid: string;
      };
      await end(sid);
      await until('the news', async () => (await outcomeOf(verifier.verify(access))) === 'revoked');
      verifier.close();
      await other.close();
    });

    it('[S63] a token of another tenant is not taken: its revocations are not read', async () => {
      const { body } = await call(gateway, '/api/v1/admin/tenants', {
        json: { name: 'other' },
        key: ADMIN_KEY,
      });
      const tenantId = Number((body['tenant'] as { id?: number } | undefined)?.id);
      const { access } = await clientTokens(gateway, await createClient(gateway, { tenantId }));
      expect(await outcomeOf((await createFollower()).verify(access))).to.equal('wrong_tenant');
    });

    it('takes nothing while the feed cannot be read: it cannot know', async () => {
      const { access } = await clientTokens(gateway, await createClient(gateway));
      const never = await createFollower({ base: 'http://127.0.0.1:9' });
      expect(await outcomeOf(never.verify(access))).to.equal('unavailable');
      const stale = await createFollower({ maxStaleMs: 1 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      await until('stale news', async () => (await outcomeOf(stale.verify(access))) !== 'accepted');
    });
  });
});

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
