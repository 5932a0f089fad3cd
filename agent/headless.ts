import type { Database } from '../sdk/file-store.ts';
import { quoteName } from './literal.ts';
import type { ActMapping, Mapping, MovementsMapping } from './mapping.ts';

export interface Headless {
  table: string;
  rows: number;
  /** The table in which what they name is not there. */
  head: string;
}

/** Movements that name a head which is not there: no act brings them, and they are not without one either. */
export function findHeadless(database: Database, { acts }: Mapping): Headless[] {
  const found = acts.flatMap((act) => act.movements.map((movements) => headlessOf(database, act, movements)));
  return found.filter(({ rows }) => rows > 0);
}

function headlessOf(database: Database, act: ActMapping, { table, parent }: MovementsMapping): Headless {
  const named = parent.map((name) => `m.${quoteName(name)} IS NOT NULL`).join(' AND ');
  const same = act.key
    .map((name, at) => `h.${quoteName(name)} = m.${quoteName(parent[at] ?? '')}`)
    .join(' AND ');
  const select = `SELECT count(*) AS n FROM ${quoteName(table)} AS m
    WHERE ${named} AND NOT EXISTS (SELECT 1 FROM ${quoteName(act.table)} AS h WHERE ${same})`;
  return { table, rows: (database.prepare(select).get() as { n: number }).n, head: act.table };
}
