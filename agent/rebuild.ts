import type { Mutation } from '../protocol/sync.ts';
import type { QueuedBatch } from '../sdk/store.ts';
import { createActRows } from './act-rows.ts';
import type { Row } from './literal.ts';
import type { Mapping, RecordMapping } from './mapping.ts';
import type { RecreateOptions } from './recreate.ts';
import { findRow } from './recreate.ts';
import type { RecordUnit } from './units.ts';

/** What a refused batch of records becomes when it is asked for again: each record from its row as it is now. */
export interface Rebuilt {
  units: RecordUnit[];
  /** Their rows are not there any more. */
  gone: { mapping: RecordMapping; mutation: Mutation }[];
}

/** Undefined: something in it is no record of a table, or came of a movement alone; then it goes as it was. */
export function rebuild(options: RecreateOptions, { batchId, mutations }: QueuedBatch): Rebuilt | undefined {
  const rebuilt: Rebuilt = { units: [], gone: [] };
  for (const mutation of mutations) {
    const found = mutation.increment === undefined ? findRecord(options, mutation) : undefined;
    if (!found) return undefined;
    const { mapping, row } = found;
    if (row) rebuilt.units.push(unitOf(options, mapping, { row, name: `${batchId} anew` }));
    else if (isOfMovements(options.mapping, mutation)) return undefined;
    else rebuilt.gone.push({ mapping, mutation });
  }
  return rebuilt;
}

function findRecord(
  options: RecreateOptions,
  { collection, id }: Mutation,
): { mapping: RecordMapping; row: Row | undefined } | undefined {
  let found: { mapping: RecordMapping; row: Row | undefined } | undefined;
  for (const mapping of options.mapping.records) {
    if (mapping.collection !== collection) continue;
    found = { mapping, row: findRow(options, mapping, id) };
    if (found.row) return found;
  }
  return found;
}

function unitOf(
  { database, mapping: all, ledger }: RecreateOptions,
  mapping: RecordMapping,
  { row, name }: { row: Row; name: string },
): RecordUnit {
  const { token } = createActRows(database, all, ledger).capture(mapping.table, row);
  const captured = {
    n: -1,
    token: `${token} ${name}`,
    table: mapping.table,
    op: 'U',
    old: undefined,
    new: row,
  } as const;
  return { kind: 'record', mapping, row: captured, first: 0 };
}

function isOfMovements({ acts }: Mapping, { collection }: Mutation): boolean {
  return acts.some(({ movements }) => movements.some((one) => one.collection === collection));
}
