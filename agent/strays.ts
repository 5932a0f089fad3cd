import type { CapturedRow } from './ledger.ts';
import type { Row } from './literal.ts';
import type { Knowledge } from './plan.ts';
import type { ActUnit } from './units.ts';
import { keyOf } from './units.ts';

/**
 * Movements that name a head and are at the centre by themselves: their head was not there yet, or not any more. When it
 * comes, it comes without them. It is noted by act and row which ones they are.
 */

type Seen = Pick<Knowledge, 'isSeen' | 'see' | 'unsee'>;

/** Takes the captured rows of strays, and keeps their marks; `new too`: movements that come now are strays as well. */
export function takeStrays(knowledge: Seen, unit: ActUnit, which?: 'new too'): CapturedRow[] {
  const { mapping, rows } = unit;
  return rows.filter((row) => {
    const before = row.old && nameOf(unit, row.table, row.old);
    const after = row.new && nameOf(unit, row.table, row.new);
    const wasStray = before !== undefined && knowledge.isSeen(mapping.name, before);
    if (before !== undefined && wasStray) knowledge.unsee(mapping.name, before);
    const isStray = wasStray || (which === 'new too' && row.op === 'I' && after !== undefined);
    if (isStray && after !== undefined) knowledge.see(mapping.name, after);
    return isStray;
  });
}

/** Marks the movements among the rows, and returns them. */
export function markStrays(knowledge: Seen, unit: ActUnit, rows: readonly CapturedRow[]): CapturedRow[] {
  return rows.filter((row) => {
    const name = row.new && nameOf(unit, row.table, row.new);
    if (name !== undefined) knowledge.see(unit.mapping.name, name);
    return name !== undefined;
  });
}

export function dropStrays(knowledge: Seen, unit: ActUnit, rows: readonly CapturedRow[]): CapturedRow[] {
  return rows.filter((row) => {
    const name = row.new && nameOf(unit, row.table, row.new);
    return name === undefined || !knowledge.isSeen(unit.mapping.name, name);
  });
}

/** Undefined: no movement of an act. */
function nameOf({ mapping, key, loose }: ActUnit, table: string, row: Row): string | undefined {
  const movements = loose ? undefined : mapping.movements.find((one) => one.table === table);
  return movements && `${key}\n${table} ${keyOf(movements.key, row)}`;
}
