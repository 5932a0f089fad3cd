import type { Database } from './db.ts';
import type { Logger } from './log.ts';

/** How often tables are looked at, and the rows below which a plan does not matter. */
const EVERY_MS = 2_000;
const ROWS = 500;

const GROWN = `
  SELECT c.oid::regclass::text AS name FROM pg_class c
  WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND pg_has_role(c.relowner, 'USAGE')
    AND pg_stat_get_live_tuples(c.oid) > greatest($1, 2 * c.reltuples)`;

export interface Statistics {
  /** Analyses the tables that have more than doubled. Returns their names. */
  refresh(): Promise<string[]>;
  close(): Promise<void>;
}

/**
 * Keeps the planner's statistics up with tables that grow fast. Every key begins with the tenant (`tenant_id`), and as long as a table
 * counts as empty every index looks equally good for it: plans that were made then, those of foreign keys among them, read all of a
 * tenant's rows for one. PostgreSQL would notice at its autovacuum's next round, a minute later; ANALYZE makes all connections plan anew (ADR 14).
 */
export function startStatistics({ db, log }: { db: Pick<Database, 'sql'>; log: Logger }): Statistics {
  let working: Promise<unknown> = Promise.resolve();
  const refresh = async (): Promise<string[]> => {
    const grown = await db.sql<{ name: string }>(GROWN, [ROWS]);
    // quoted by PostgreSQL
    for (const { name } of grown) await db.sql(`ANALYZE ${name}`);
    return grown.map(({ name }) => name);
  };
  const timer = setInterval(() => {
    working = working.then(refresh).catch((error: unknown) =>
      // the next round tries again, and autovacuum does the same later
      log.debug(
        { err: error instanceof Error ? error.message : String(error) },
        'tables could not be analysed',
      ),
    );
  }, EVERY_MS).unref();
  return {
    refresh,
    async close() {
      clearInterval(timer);
      await working;
    },
  };
}
