import type { Mutation } from '../protocol/sync.ts';
import type { Database } from '../sdk/file-store.ts';
import { toId } from './convert.ts';
import type { Ledger } from './ledger.ts';
import type { Row } from './literal.ts';
import { quoteName } from './literal.ts';
import type { Mapping, MovementsMapping } from './mapping.ts';
import { sourcesOf, templateColumns } from './mapping.ts';
import { creationOf } from './movement-plan.ts';

/** Makes the record of a movement anew that the centre has lost, from a row of the ERP. */

export interface RecreateOptions {
  database: Database;
  ledger: Ledger;
  mapping: Mapping;
  partition: string;
}

/** Undefined: no movement names that record. Throws MappingFault when its columns cannot be mapped. */
export function createOf(options: RecreateOptions, { op, collection, id }: Mutation): Mutation | undefined {
  const { mapping, ledger, partition } = options;
  if (op !== 'patch') return undefined;
  for (const movements of mapping.acts.flatMap((act) => act.movements)) {
    if (movements.collection !== collection) continue;
    const row = findRow(options, movements, id);
    if (row) return { collection, id, op: 'put', partition, data: creationOf(ledger, movements, row) };
  }
  return undefined;
}

/** A row of the ERP that has, or whose movement went to, the record of that id. */
export function findRow(
  { database, mapping, partition }: RecreateOptions,
  { table, id: template }: Pick<MovementsMapping, 'table' | 'id'>,
  id: string,
): Row | undefined {
  const names = templateColumns(template);
  const parts = template.split(/\$\{[^}]*\}/).map(escapePattern);
  const holes = [...template.matchAll(/\$\{([^}]*)\}/g)].map(([, name]) =>
    name === 'partition' ? escapePattern(partition) : '(.+)',
  );
  const pattern = parts.map((part, at) => part + (holes[at] ?? '')).join('');
  const values = new RegExp(`^${pattern}$`, 'su').exec(id)?.slice(1);
  if (!values) return undefined;
  const columns = sourcesOf(mapping).find((source) => source.table === table)?.columns ?? [];
  const where = names.map((name) => `CAST(${quoteName(name)} AS TEXT) = ?`).join(' AND ') || 'true';
  const select = `SELECT ${columns.map(quoteName).join(', ')} FROM ${quoteName(table)} WHERE ${where} LIMIT 1`;
  const row = database.prepare(select).get(...values) as Row | undefined;
  return row && toId(template, partition, row) === id ? row : undefined;
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
