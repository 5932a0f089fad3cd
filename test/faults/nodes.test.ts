import { expect } from 'chai';
import pg from 'pg';
import { createLocalHints, startHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';
import { runWriter, startSubscriber } from '../support/fault-clients.ts';
import { checkApplied, checkLog, checkWrites } from '../support/fault-history.ts';
import { createChance, pause } from '../support/fault-seed.ts';
import type { Chance } from '../support/fault-seed.ts';
import { redisUrl } from '../support/redis.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';

const log = createLogger('silent');
type Bus = (databaseUrl: string) => Promise<Hints>;

const buses: Record<string, Bus> = {
  'LISTEN/NOTIFY': (databaseUrl) => startHints({ databaseUrl, log }),
  ...(redisUrl === undefined
    ? {}
    : { Redis: (databaseUrl: string) => startHints({ databaseUrl, redisUrl, log }) }),
  'nothing but the poll': () => Promise.resolve(createLocalHints()),
};

/** Loses, doubles and reorders hints by chance. */
function unreliable(bus: Hints, chance: Chance, options: { loss: number; mess?: boolean }): Hints {
  return {
    ...bus,
    publish(topic, body) {
      if (chance.next() < options.loss) return;
      bus.publish(topic, body);
      if (options.mess === true) setTimeout(() => bus.publish(topic, body), chance.between(0, 50)).unref();
    },
  };
}

describe('faults: several nodes on one database', () => {
  let nodes: SyncGateway[] = [];
  before(() => {
    if (redisUrl === undefined)
      process.stderr.write('    left out: hints by Redis (TEST_REDIS_URL names none)\n');
  });
  const cleanUp: (() => unknown)[] = [];
  const startNodes = async (bus: Bus, wrap = (hints: Hints) => hints, poll = { minMs: 50, maxMs: 400 }) => {
    const databaseUrl = await createDatabase();
    const start = async () => startSyncGateway({ databaseUrl, hints: wrap(await bus(databaseUrl)), poll });
    nodes = [await start(), await start()];
  };
  afterEach(async () => {
    for (const clean of cleanUp.splice(0)) await clean();
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });
  const sql = () => nodes[0]!.db.sql;
  const urlOf = (n: number) => () => nodes[n % nodes.length]!.url;

  /** Writers and subscribers on both nodes; returns what is wrong afterwards. */
  async function trial(options: { writers: number; batches: number; settleMs?: number }): Promise<string[]> {
    const subscribers = [0, 1].map((n) => startSubscriber(urlOf(n)));
    cleanUp.push(() => subscribers.forEach((s) => s.close()));
    await until('the subscribers', () => subscribers.every(({ cursor }) => cursor !== null));
    const count = options.batches;
    const runs = Array.from({ length: options.writers }, (_, w) =>
      runWriter(urlOf(w), { name: `w${w}`, count }),
    );
    const history = (await Promise.all(runs)).flat();
    const total = (await sql()<{ n: number }>('SELECT count(*)::int AS n FROM changes'))[0]?.n ?? 0;
    const all = () => subscribers.every(({ applied }) => applied.length >= total);
    await until('the subscribers', all, options.settleMs ?? 8_000).catch(() => undefined);
    const seen = await Promise.all(subscribers.map(({ applied }) => checkApplied(sql(), applied)));
    return [...(await checkWrites(sql(), history)), ...(await checkLog(sql())), ...seen.flat()];
  }

  for (const [name, bus] of Object.entries(buses)) {
    it(`[D8] [O3] [I2] two nodes, hints by ${name}: one order, no loss`, async () => {
      await startNodes(bus);
      expect(await trial({ writers: 6, batches: 30 })).to.deep.equal([]);
    });
  }

  for (const [name, bus] of Object.entries(buses).filter(([name]) => name !== 'nothing but the poll')) {
    it(`[D8] a hint by ${name} that makes no sense harms nobody, and the next ones arrive`, async () => {
      const databaseUrl = await createDatabase();
      const [from, to] = [await bus(databaseUrl), await bus(databaseUrl)];
      cleanUp.push(
        () => from.close(),
        () => to.close(),
      );
      const heard: string[] = [];
      to.subscribe('rooms', (body) => {
        heard.push((JSON.parse(body) as { room: string }).room);
      });
      to.subscribe('rooms', () => heard.push('second'));
      for (const body of ['x', '{"room":"general"}']) from.publish('rooms', body);
      await until('the hints', () => heard.includes('general'));
      expect(heard).to.deep.equal(['second', 'general', 'second']);
    });
  }

  for (const loss of [0.2, 1]) {
    it(`[F14] [I2] ${loss * 100} % of the hints lost, the rest doubled and out of order: no loss of changes`, async () => {
      const chance = createChance('F14');
      await startNodes(buses['LISTEN/NOTIFY']!, (hints) => unreliable(hints, chance, { loss, mess: true }));
      expect(await trial({ writers: 4, batches: 25 })).to.deep.equal([]);
    });
  }

  it('[F14] known bad: a node that trusts its hints is caught', async () => {
    const chance = createChance('F14');
    const never = { minMs: 60_000, maxMs: 60_000 };
    await startNodes(buses['LISTEN/NOTIFY']!, (hints) => unreliable(hints, chance, { loss: 1 }), never);
    expect(await trial({ writers: 1, batches: 10, settleMs: 1_000 })).to.not.deep.equal([]);
  });

  it('[D8] a hint that makes no sense harms nothing', async () => {
    await startNodes(buses['nothing but the poll']!);
    for (const body of ['', '1', '1:x', 'x:1', '1:-5', '1:9007199254740991', '1:1e999', ':::'])
      nodes.forEach(({ hints }) => hints.publish('version', body));
    await pause(20);
    expect(await trial({ writers: 2, batches: 5 })).to.deep.equal([]);
  });

  it('[C7] a cursor of one node is good on another that has not read so far yet', async () => {
    await startNodes(buses['nothing but the poll']!, undefined, { minMs: 60_000, maxMs: 60_000 });
    const ahead = startSubscriber(urlOf(0));
    const behind = startSubscriber(urlOf(1));
    cleanUp.push(() => [ahead, behind].forEach((s) => s.close()));
    await until('both', () => ahead.cursor !== null && behind.cursor !== null);
    await runWriter(urlOf(0), { name: 'w', count: 10 });
    await until('the node that wrote', () => ahead.applied.length === 11);
    const moving = startSubscriber(urlOf(1), { from: ahead });
    cleanUp.push(() => moving.close());
    await until('it is there', () => moving.connected);
    await runWriter(urlOf(1), { name: 'x', count: 10 });
    await until('the rest', () => moving.applied.length === 22);
    expect(await checkApplied(sql(), moving.applied)).to.deep.equal([]);
    expect(moving.resets).to.equal(0);
  });

  it('[F25] [I2] [O2] 32 concurrent writers over two nodes: no gap, no double', async () => {
    await startNodes(buses['LISTEN/NOTIFY']!);
    expect(await trial({ writers: 32, batches: 12, settleMs: 15_000 })).to.deep.equal([]);
  }).timeout(40_000);

  it('[F25] known bad: a cursor over a sequence loses rows, and the same comparison finds it', async () => {
    const pool = new pg.Pool({ connectionString: await createDatabase(), max: 33 });
    cleanUp.push(() => pool.end());
    nodes = [];
    await pool.query('CREATE TABLE naive (id bigserial PRIMARY KEY)');
    const seen: number[] = [];
    const read = async () => {
      const { rows } = await pool.query<{ id: number }>('SELECT id FROM naive WHERE id > $1 ORDER BY id', [
        seen.at(-1) ?? 0,
      ]);
      seen.push(...rows.map(({ id }) => id));
    };
    const write = async () => {
      for (let i = 0; i < 15; i += 1) {
        const tx = await pool.connect();
        await tx.query('BEGIN');
        await tx.query('INSERT INTO naive DEFAULT VALUES');
        await tx.query('SELECT pg_sleep(random() / 100)');
        await tx.query('COMMIT');
        tx.release();
      }
    };
    const state = { writing: true };
    const work = Promise.all(Array.from({ length: 32 }, write)).then(() => (state.writing = false));
    while (state.writing) await read();
    await work;
    await read();
    const { rows } = await pool.query<{ id: number }>('SELECT id FROM naive ORDER BY id');
    expect(seen).to.not.deep.equal(rows.map(({ id }) => id));
  });
});
