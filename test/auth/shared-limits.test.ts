import { expect } from 'chai';
import { createLocalHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { openTestDatabase } from '../support/database.ts';
import { redisUrl } from '../support/redis.ts';
import { call, codeFor, createPerson, signUp } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const PLACES: [string, Record<string, string>][] = [
  ['the database', {}],
  ...(redisUrl === undefined ? [] : [['Redis', { REDIS_URL: redisUrl }] as [string, Record<string, string>]]),
];

for (const [place, env] of PLACES)
  describe(`limits of several nodes, counted in ${place}`, () => {
    let nodes: Gateway[] = [];
    let hints: Hints;
    let db: Awaited<ReturnType<typeof openTestDatabase>>;
    const start = async (more: Record<string, string> = {}): Promise<[Gateway, Gateway]> => {
      db = await openTestDatabase();
      hints = createLocalHints();
      // of its own: a count in Redis outlives the test
      const key = `limits of ${Date.now()} ${Math.random()} and a few more letters`;
      const options = { db, hints, env: { CONFIG_ENCRYPTION_KEY: key, ...env, ...more } };
      const [a, b] = [await startGateway(options), await startGateway(options)];
      nodes = [a, b];
      return [a, b];
    };
    afterEach(async () => {
      for (const node of nodes) await node.close();
      await hints.close();
      await db.close();
    });
    const logIn = (at: Gateway, username: string, password: string): Promise<Answer> =>
      call(at, '/api/login', { json: { username, password } });

    it('[S30] failures on one node count on the other, and a success forgives them on both', async () => {
      const [a, b] = await start();
      const { username } = await createPerson(a);
      const statuses: number[] = [];
      for (const node of [a, b, a, b]) statuses.push((await logIn(node, username, 'wrong')).status);
      const right = await logIn(b, username, PASSWORD);
      for (const node of [a, a, a, b, b, a, b]) statuses.push((await logIn(node, username, 'wrong')).status);
      expect(right.status).to.equal(200);
      expect(statuses).to.deep.equal([401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
    });

    it('[S24] guesses at a mailed code count together on all nodes, and a new code forgives none', async () => {
      const [a, b] = await start();
      const { email } = await signUp(a);
      const guess = (at: Gateway, code: string): Promise<Answer> =>
        call(at, '/api/verify-email', { json: { email, code } });
      const statuses = [];
      for (const node of [a, b, a]) statuses.push((await guess(node, '000000')).status);
      await call(b, '/api/resend-verification', { json: { email } });
      const code = await codeFor(b, email);
      for (const node of [b, a]) statuses.push((await guess(node, '000000')).status);
      const right = [(await guess(a, code)).status, (await guess(b, code)).status];
      expect([statuses, right]).to.deep.equal([
        [400, 400, 400, 400, 400],
        [429, 429],
      ]);
    });

    it('[S53] wrong keys count before any look-up, a new key is no new address, and the other node soon knows', async () => {
      const [a, b] = await start({ AUTH_FAILURE_LIMIT_ADDRESS: '4' });
      const present = (at: Gateway, n: number): Promise<Answer> =>
        call(at, '/audit/logs', { key: `slk_1_${String(n).padStart(8, '0')}_${'x'.repeat(43)}` });
      const statuses = [];
      for (const [n, node] of [a, a, a, b, b, a, b].entries()) statuses.push((await present(node, n)).status);
      expect(statuses).to.deep.equal([401, 401, 401, 401, 429, 401, 429]);
    });

    it('few and grave acts are counted to the last one', async () => {
      const [a, b] = await start({ SIGNUP_LIMIT: '3' });
      const statuses = [];
      for (const [i, node] of [a, b, a, b].entries()) {
        const json = { username: `many${i}`, email: `many${i}@example.com`, password: PASSWORD };
        statuses.push((await call(node, '/api/signup', { json })).status);
      }
      expect(statuses).to.deep.equal([201, 201, 201, 429]);
    });

    it('the general limit is shared a moment later, and no request waits for that', async () => {
      const [a, b] = await start({ RATE_LIMIT_MAX_REQUESTS: '40' });
      const ask = (at: Gateway): Promise<Answer> =>
        call(at, '/auth/refresh', { json: { refresh_token: 'x' } });
      for (let i = 0; i < 20; i += 1) await ask(a);
      // what this node tells the store makes it hear of the others
      await ask(b);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const left = [];
      for (let i = 0; i < 19; i += 1) left.push(Number((await ask(b)).headers.get('x-ratelimit-remaining')));
      expect(left).to.deep.equal(Array.from({ length: 19 }, (_, i) => 18 - i));
      expect((await ask(b)).status).to.equal(429);
    });

    it('[S23] the store holds neither an address nor a name', async () => {
      const [a] = await start();
      await logIn(a, 'somebody', 'wrong');
      if (place !== 'the database') return;
      const rows = await db.sql<{ key: string }>('SELECT key FROM rate_limits');
      expect(rows.length).to.be.greaterThan(2);
      for (const { key } of rows) expect(key).to.match(/^sluice:[a-z -]+:[\w-]{43}$/);
    });
  });

describe('limits whose store is dead', () => {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const attempt = (password: string, username: string): Promise<Answer> =>
    call(gateway, '/api/login', { json: { username, password } });
  const expectBounds = async (): Promise<void> => {
    const { username } = await createPerson(gateway);
    const statuses = [(await attempt(PASSWORD, username)).status];
    for (let i = 0; i < 6; i += 1) statuses.push((await attempt('wrong', username)).status);
    expect(statuses).to.deep.equal([200, 401, 401, 401, 401, 401, 429]);
  };

  it('[S30] Redis: nobody is locked out, and guessing stays bounded', async () => {
    // a port that nobody listens on
    gateway = await startGateway({ env: { REDIS_URL: 'redis://127.0.0.1:9' } });
    await expectBounds();
  });

  it('[S30] the table: nobody is locked out, and guessing stays bounded', async () => {
    gateway = await startGateway();
    await gateway.db.sql('ALTER TABLE rate_limits RENAME TO rate_limits_gone');
    try {
      await expectBounds();
    } finally {
      await gateway.db.sql('ALTER TABLE rate_limits_gone RENAME TO rate_limits');
    }
  });
});
