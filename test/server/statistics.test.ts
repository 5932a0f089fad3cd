import { expect } from 'chai';
import { createLogger } from '../../server/log.ts';
import { startStatistics } from '../../server/statistics.ts';
import type { Statistics } from '../../server/statistics.ts';
import { openTestDatabase } from '../support/database.ts';

describe('statistics of young tables', () => {
  let db: Awaited<ReturnType<typeof openTestDatabase>>;
  let statistics: Statistics;
  beforeEach(async () => {
    db = await openTestDatabase();
    statistics = startStatistics({ db, log: createLogger('silent') });
  });
  afterEach(async () => {
    await statistics.close();
    await db.close();
  });
  const add = async (people: number): Promise<void> => {
    await db.sql(
      `INSERT INTO users (tenant_id, id, username, username_key, email, email_key, password_hash, role, created_at)
       SELECT 1, gen_random_uuid(), name, name, name, name, '', 'member', now()
       FROM (SELECT gen_random_uuid()::text AS name FROM generate_series(1, $1)) AS names`,
      [people],
    );
  };
  const known = async (): Promise<number> => {
    const [row] = await db.sql<{ reltuples: number }>(
      `SELECT reltuples FROM pg_class WHERE oid = 'users'::regclass`,
    );
    return row?.reltuples ?? NaN;
  };
  /** A backend tells of its rows within a second. */
  const refreshed = async (): Promise<string[]> => {
    await db.sql('SELECT pg_stat_force_next_flush()');
    await db.sql('SELECT pg_stat_clear_snapshot()');
    return statistics.refresh();
  };

  it('are made when a table has grown, and not again before it has doubled', async () => {
    await add(400);
    expect(await refreshed()).to.deep.equal([]);
    await add(400);
    expect(await refreshed()).to.deep.equal(['users']);
    expect(await known()).to.equal(800);
    await add(700);
    expect(await refreshed()).to.deep.equal([]);
    await add(200);
    expect(await refreshed()).to.deep.equal(['users']);
    expect(await known()).to.equal(1_700);
  });

  it('are made by the gateway itself', async () => {
    await add(1_000);
    for (let tries = 0; tries < 100 && (await known()) !== 1_000; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await known()).to.equal(1_000);
  });
});
