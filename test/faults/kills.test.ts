import { expect } from 'chai';
import type { Database } from '../../server/db.ts';
import { openDatabase } from '../../server/db.ts';
import { createLocalHints } from '../../server/hints.ts';
import { createDatabase } from '../support/database.ts';
import { startGatewayChild } from '../support/fault-children.ts';
import type { GatewayChild } from '../support/fault-children.ts';
import { runWriter, startSubscriber } from '../support/fault-clients.ts';
import { checkApplied, checkLog, checkWrites } from '../support/fault-history.ts';
import { createChance, pause } from '../support/fault-seed.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';

describe('faults: a gateway is killed', () => {
  let databaseUrl: string;
  let db: Database;
  const cleanUp: (() => unknown)[] = [];
  beforeEach(async () => {
    databaseUrl = await createDatabase();
    db = await openDatabase({ url: databaseUrl, migrate: false });
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
    await db.close();
  });
  const places = async () =>
    (await db.sql<{ n: number }>('SELECT count(*)::int AS n FROM changes'))[0]?.n ?? 0;

  it('[F1] [I1] [I2] [I3] SIGKILL mid fan-out: nobody misses or doubles anything; a live-only subscriber does', async () => {
    const chance = createChance('F1');
    let child = await startGatewayChild({ databaseUrl });
    cleanUp.push(() => child.kill());
    const url = () => child.url;
    const subscribers = [startSubscriber(url), startSubscriber(url)];
    const bad = startSubscriber(url, { liveOnly: true, awayMs: 400 });
    cleanUp.push(() => [...subscribers, bad].forEach((s) => s.close()));
    await until('the subscribers', () => [...subscribers, bad].every(({ cursor }) => cursor !== null));
    const writers = Promise.all(
      [0, 1, 2, 3].map((w) => runWriter(url, { name: `w${w}`, count: 80, pauseMs: 4 })),
    );
    for (let kill = 0; kill < 2; kill += 1) {
      await pause(chance.between(100, 500));
      await child.kill();
      child = await startGatewayChild({ databaseUrl, port: child.port });
    }
    const history = (await writers).flat();
    const total = await places();
    await until('the subscribers', () => subscribers.every(({ applied }) => applied.length >= total));
    expect(await checkWrites(db.sql, history)).to.deep.equal([]);
    expect(await checkLog(db.sql)).to.deep.equal([]);
    for (const { applied } of subscribers) expect(await checkApplied(db.sql, applied)).to.deep.equal([]);
    expect(await checkApplied(db.sql, bad.applied), 'the known-bad variant').to.not.deep.equal([]);
  }).timeout(40_000);

  for (const [variant, newBatchOnRetry] of [
    ['the batch that is sent again takes effect once', false],
    ['a client that sends it as a new batch is caught', true],
  ] as const) {
    it(`[F2] [I1] [I3] SIGKILL between COMMIT and the acknowledgement: ${variant}`, async () => {
      const chance = createChance('F2');
      let child: GatewayChild = await startGatewayChild({
        databaseUrl,
        dieAfterCommit: chance.between(3, 12),
      });
      cleanUp.push(() => child.kill());
      const writing = Promise.all(
        [0, 1].map((w) => runWriter(() => child.url, { name: `w${w}`, count: 15, newBatchOnRetry })),
      );
      await child.exited;
      child = await startGatewayChild({ databaseUrl, port: child.port });
      const faults = await checkWrites(db.sql, (await writing).flat());
      expect(faults.filter((fault) => fault.includes('2 times')).length > 0).to.equal(newBatchOnRetry);
      if (!newBatchOnRetry) expect(faults).to.deep.equal([]);
    }).timeout(30_000);
  }

  for (const [variant, poll] of [
    ['the other node’s poll finds it', { minMs: 50, maxMs: 300 }],
    ['without the poll it is missed', { minMs: 60_000, maxMs: 60_000 }],
  ] as const) {
    it(`[F3] [I2] SIGKILL between the acknowledgement and the hint: ${variant}`, async () => {
      const child = await startGatewayChild({ databaseUrl, dieBeforeHint: 6 });
      const other = await startSyncGateway({ databaseUrl, hints: createLocalHints(), poll });
      const subscriber = startSubscriber(() => other.url);
      cleanUp.push(
        () => other.close(),
        () => subscriber.close(),
        () => child.kill(),
      );
      await until('the subscriber', () => subscriber.cursor !== null);
      const history = await runWriter(() => child.url, { name: 'w', count: 5 });
      await child.exited;
      expect(await checkWrites(db.sql, history)).to.deep.equal([]);
      await pause(900);
      const faults = await checkApplied(db.sql, subscriber.applied);
      expect(faults.length > 0, faults.join()).to.equal(poll.maxMs === 60_000);
    }).timeout(20_000);
  }
});
