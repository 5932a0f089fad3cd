import type { CapturedRow } from './ledger.ts';
import type { Row, Value } from './literal.ts';
import type { ActMapping, Mapping, RecordMapping } from './mapping.ts';

/** Captured rows put together to what is pushed as one: a business act, or the change of one record. Pure. */

export type Unit = ActUnit | RecordUnit;

export interface ActUnit {
  kind: 'act';
  mapping: ActMapping;
  /** The head's key as JSON; of a movement without a head its table and own key. */
  key: string;
  /** Without a head: movements alone. */
  loose: boolean;
  rows: CapturedRow[];
  /** Place of its first row. */
  first: number;
}

export interface RecordUnit {
  kind: 'record';
  mapping: RecordMapping;
  row: CapturedRow;
  first: number;
}

/** Groups rows by act, in the order of each unit's first row. A row that several mappings name is in several units. */
export function groupUnits({ acts, records }: Mapping, rows: readonly CapturedRow[]): Unit[] {
  const units: Unit[] = [];
  const open = new Map<string, ActUnit>();
  const add = (mapping: ActMapping, { row, ...place }: Part, first: number): void => {
    const name = `${mapping.name}\n${place.key}`;
    const known = open.get(name);
    if (known) {
      known.rows.push(row);
      return;
    }
    const unit: ActUnit = { kind: 'act', mapping, ...place, rows: [row], first };
    open.set(name, unit);
    units.push(unit);
  };
  for (const [first, row] of rows.entries()) {
    for (const mapping of acts) for (const part of partsOf(mapping, row)) add(mapping, part, first);
    for (const mapping of records)
      if (mapping.table === row.table) units.push({ kind: 'record', mapping, row, first });
  }
  return units;
}

/** Rows of one table as they are in the end: by key, in the order they came. Undefined: deleted again. */
export function foldRows(
  key: readonly string[],
  rows: readonly CapturedRow[],
): Map<string, { row: Row | undefined; isNew: boolean }> {
  const folded = new Map<string, { row: Row | undefined; isNew: boolean }>();
  for (const { op, old, new: after } of rows) {
    const before = old && keyOf(key, old);
    const known = before === undefined ? undefined : folded.get(before);
    const isNew = op === 'I' || (known?.isNew ?? false);
    const now = after && keyOf(key, after);
    if (before !== undefined && before !== now) folded.set(before, { row: undefined, isNew });
    if (now !== undefined) folded.set(now, { row: after, isNew });
  }
  return folded;
}

export function keyOf(columns: readonly string[], row: Row): string {
  return JSON.stringify(columns.map((name) => textOf(row[name] ?? null)));
}

interface Place {
  key: string;
  loose: boolean;
}

type Part = Place & { row: CapturedRow };

/** A row that was moved from one act to another leaves the one and comes into the other: each has its own part of it. */
function partsOf(mapping: ActMapping, row: CapturedRow): Part[] {
  const { table, old, new: now, token } = row;
  const before = old && placeInAct(mapping, table, old);
  const after = now && placeInAct(mapping, table, now);
  if (before?.key === after?.key || !old || !now) {
    const place = after ?? before;
    return place ? [{ ...place, row }] : [];
  }
  const parts: Part[] = [];
  if (before) parts.push({ ...before, row: { ...row, op: 'D', token: `${token} out`, new: undefined } });
  if (after) parts.push({ ...after, row: { ...row, op: 'I', old: undefined } });
  return parts;
}

function placeInAct(mapping: ActMapping, table: string, values: Row): Place | undefined {
  if (table === mapping.table) return { key: keyOf(mapping.key, values), loose: false };
  const child = [...mapping.lines, ...mapping.movements].find((one) => one.table === table);
  if (!child) return undefined;
  if (child.parent.every((name) => (values[name] ?? null) !== null))
    return { key: keyOf(child.parent, values), loose: false };
  // A line without a head is no line of anything; a movement without one stands for itself.
  if (!mapping.movements.some((one) => one.table === table)) return undefined;
  return { key: `${table} ${keyOf(child.key, values)}`, loose: true };
}

function textOf(value: Value): Value | string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
}
