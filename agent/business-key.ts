import { MappingFault, toId } from './convert.ts';
import type { Row } from './literal.ts';
import { templateColumns } from './mapping.ts';
import type { ActUnit, Unit } from './units.ts';
import { keyOf } from './units.ts';

interface Source {
  partition: string;
  lookup(table: string, on: Row, columns: readonly string[]): Row | undefined;
}

/** What people know a unit by: the id of its record (`branch-12/R-5`); the table's key only where there is none. */
export function recordIdOf(source: Source, unit: Unit): string {
  try {
    if (unit.kind === 'record') return toId(unit.mapping.id, source.partition, rowOf(unit.row));
    return actIdOf(source, unit) ?? unit.key;
  } catch (error) {
    if (!(error instanceof MappingFault)) throw error;
    return unit.kind === 'act' ? unit.key : keyOf(unit.mapping.key, rowOf(unit.row));
  }
}

function actIdOf(source: Source, { mapping, key, loose, rows }: ActUnit): string | undefined {
  const { partition } = source;
  const movement = mapping.movements.find(({ table }) => table === rows[0]?.table);
  if (loose) return movement && rows[0] && toId(movement.id, partition, rowOf(rows[0]));
  const captured = rows.findLast(({ table }) => table === mapping.table);
  const head = captured ? rowOf(captured) : findHead(source, mapping, key);
  return head && toId(mapping.id, partition, head);
}

/** Only its lines were written: the head is in the ERP. */
function findHead(source: Source, { table, key, id }: ActUnit['mapping'], text: string): Row | undefined {
  const values = JSON.parse(text) as Row[string][];
  const on = Object.fromEntries(key.map((name, at) => [name, values[at] ?? null]));
  const columns = templateColumns(id);
  return columns.length === 0 ? {} : source.lookup(table, on, columns);
}

function rowOf(row: { old: Row | undefined; new: Row | undefined }): Row {
  return row.new ?? row.old ?? {};
}
