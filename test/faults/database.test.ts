import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openDatabase } from '../../server/db.ts';
import type { Database } from '../../server/db.ts';
import { startEmbeddedPostgres } from '../../server/embedded/embedded-postgres.ts';
import { runWriter, startSubscriber } from '../support/fault-clients.ts';
import { checkApplied, checkLog, checkWrites } from '../support/fault-history.ts';
import type { HistoryEntry } from '../support/fault-history.ts';
import { createChance, pause } from '../support/fault-seed.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';

const KILL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE $1 AND pid <> pg_backend_pid()`;

describe('faults: the database is killed', () => {
  const cleanUp: (() => unknown)[] = [];
  afterEach(async () => {
    for (const clean of cleanUp.splice(0)) await clean();
  });

  /** Four writers and a subscriber go on while `trouble` runs; then everything is held against the log. */
  async function trial(
    gateway: SyncGateway,
    options: {
      count: number;
      trouble: (running: () => boolean) => Promise<void>;
      trustsSending?: boolean;
      givesUp?: () => boolean;
    },
  ): Promise<{ history: HistoryEntry[]; faults: string[] }> {
    const { count, trouble, ...variant } = options;
    const subscriber = startSubscriber(() => gateway.url);
    await until('the subscriber', () => subscriber.cursor !== null);
    let running = true;
    const writing = Promise.all(
      [0, 1, 2, 3].map((w) => runWriter(() => gateway.url, { name: `w${w}`, count, pauseMs: 1, ...variant })),
    ).finally(() => (running = false));
    await trouble(() => running);
    const history = (await writing).flat();
    const { sql } = gateway.db;
    const total = (await sql<{ n: number }>('SELECT count(*)::int AS n FROM changes'))[0]?.n ?? 0;
    await until('the subscriber', () => subscriber.applied.length >= total, 8_000).catch(() => undefined);
    subscriber.close();
    const faults = [
      ...(await checkWrites(sql, history)),
      ...(await checkLog(sql)),
      ...(await checkApplied(sql, subscriber.applied)),
    ];
    return { history, faults };
  }

  const terminating =
    (gateway: SyncGateway, application: string, everyMs: () => number) =>
    async (running: () => boolean): Promise<void> => {
      const killer: Database = await openDatabase({ url: gateway.databaseUrl, migrate: false });
      while (running()) {
        await pause(everyMs());
        await killer.dataSource.query(KILL, [application]).catch(() => undefined);
      }
      await killer.close();
    };

  it('[F19] [E3] [I1] [I2] [I3] sessions of the sync path are killed at random moments', async () => {
    const chance = createChance('F19');
    const gateway = await startSyncGateway();
    cleanUp.push(() => gateway.close());
    const { history, faults } = await trial(gateway, {
      count: 120,
      trouble: terminating(gateway, 'sluice-sync', () => chance.between(5, 60)),
      givesUp: () => chance.next() < 0.3,
    });
    expect(faults).to.deep.equal([]);
    expect(history.filter(({ outcome }) => outcome === 'ok').length).to.be.above(100);
  }).timeout(40_000);

  it('[F19] known bad: a client that calls written what it has sent is caught', async () => {
    const chance = createChance('F19');
    const gateway = await startSyncGateway();
    cleanUp.push(() => gateway.close());
    const { faults } = await trial(gateway, {
      count: 20,
      trouble: terminating(gateway, 'sluice-sync', () => chance.between(10, 30)),
      trustsSending: true,
    });
    expect(faults).to.not.deep.equal([]);
  }).timeout(40_000);

  it('[F19] [F23] [I1] [I2] [I3] SIGKILL of the embedded PostgreSQL: what was acknowledged is still there', async () => {
    const chance = createChance('F23');
    const dataDir = await mkdtemp(join(tmpdir(), 'sluice-fault-'));
    const embedded = await startEmbeddedPostgres({ dataDir, log: () => undefined });
    await (await openDatabase({ url: embedded.url })).close();
    const gateway = await startSyncGateway({ databaseUrl: embedded.url });
    cleanUp.push(
      () => gateway.close(),
      () => embedded.close(),
      () => rm(dataDir, { recursive: true, force: true }),
    );
    const trouble = async (): Promise<void> => {
      for (let kill = 0; kill < 2; kill += 1) {
        await pause(chance.between(150, 500));
        const { pid } = embedded;
        process.kill(pid, 'SIGKILL');
        await until('its successor', () => embedded.pid !== pid, 15_000);
      }
    };
    const { faults, history } = await trial(gateway, { count: 120, trouble });
    expect(faults).to.deep.equal([]);
    expect(history.every(({ outcome }) => outcome === 'ok')).to.equal(true);
  }).timeout(60_000);

  it('[F23] known bad: a commit that does not reach the disk is lost, and the check finds it', async () => {
    const gateway = await startSyncGateway();
    cleanUp.push(() => gateway.close());
    const history = await runWriter(() => gateway.url, { name: 'w', count: 10 });
    // what a crash leaves of a server that does not flush: the newest commit is gone
    await gateway.db.sql('DELETE FROM changes WHERE version = (SELECT max(version) FROM changes)');
    expect((await checkWrites(gateway.db.sql, history)).join()).to.contain('was acknowledged and is lost');
  });
});
