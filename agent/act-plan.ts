import type { Mutation, RecordData } from '../protocol/sync.ts';
import { findId, toFields, toId } from './convert.ts';
import type { CapturedRow, OpenAct } from './ledger.ts';
import type { Row } from './literal.ts';
import type { ActMapping, LinesMapping } from './mapping.ts';
import { movementMutations } from './movement-plan.ts';
import type { Knowledge, Plan, Planner } from './plan.ts';
import { batchOf, openOf, refusalOf } from './plan.ts';
import { dropStrays, markStrays, takeStrays } from './strays.ts';
import type { ActUnit, Unit } from './units.ts';
import { foldRows, keyOf } from './units.ts';

/**
 * What of an act is sent, by what the centre has of it: nothing (then the whole of it goes, as it is now), all of it as it
 * was (then the differences go), or an act that was refused (then it goes anew).
 */
export function planAct(planner: Planner, unit: ActUnit): void {
  const open = planner.knowledge.findOpenAct(unit.mapping.name, unit.key);
  if (open) planAnew(planner, unit, open);
  else if (isToCome(planner.knowledge, unit)) planOlder(planner, unit);
  else if (unit.loose) planLoose(planner, unit);
  else planKnown(planner, unit);
}

/** Older rows are being gone through, and this act has not been: the centre has nothing of it, whatever was captured. */
function isToCome(knowledge: Knowledge, unit: ActUnit): boolean {
  const { mapping, key, loose, rows } = unit;
  if (knowledge.isSeen(mapping.name, key)) return false;
  if (rows[0]?.n === 0) return true;
  // Movements that are being adopted are at the centre as they were, and so is an act that comes back.
  const isThere = loose ? knowledge.adopting : isBornHere(unit) && isBack(knowledge, mapping, findHead(unit));
  return knowledge.backfilling && !isThere;
}

/** As it is in the database now: what was captured is part of it, and the older rows that follow pass it over. */
function planOlder(planner: Planner, unit: ActUnit): void {
  const { knowledge } = planner;
  const { mapping, key, loose, rows } = unit;
  const isRead = rows[0]?.n === 0;
  const present = isRead ? rows : knowledge.readAct(mapping, key, loose);
  if (!isThere(unit, present)) {
    if (findHead(unit)) planLeft(planner, unit, { rows: present, name: nameOf(unit) });
    else if (!loose) planStrays(planner, unit, takeStrays(knowledge, unit, 'new too'));
    return;
  }
  if (!isRead) planStrays(planner, unit, takeStrays(knowledge, unit));
  // Named by its key, as in every installation: it may have been sent by one before this one (docs/adr/0012).
  const isOlder = isRead || !isBornHere(unit);
  knowledge.see(mapping.name, key);
  planner.whole = { act: mapping.name, key, older: isOlder };
  const name = isOlder ? nameOf({ ...unit, rows: present }) : nameOf(unit);
  planWhole(planner, unit, { rows: present, name });
}

/** A movement without a head, that is at the centre as it was, or new. */
function planLoose(planner: Planner, unit: ActUnit): void {
  const { knowledge } = planner;
  const { mapping, key } = unit;
  const isNew = !knowledge.isSeen(mapping.name, key) && isBornHere(unit);
  if (isNew) planner.whole = { act: mapping.name, key, older: false };
  if (isNew || knowledge.adopting) knowledge.see(mapping.name, key);
  planBatch(planner, unit, { head: undefined, name: nameOf(unit) });
}

function planKnown(planner: Planner, unit: ActUnit): void {
  const { knowledge } = planner;
  const head = findHead(unit);
  const wasThere = knowledge.isSeen(unit.mapping.name, unit.key) || (head !== undefined && !isBornHere(unit));
  if (head?.row && head.isNew && isAnother(knowledge, unit, wasThere)) {
    planNew(planner, unit, { head, wasThere });
  } else if (!head && !wasThere && !isThere(unit, knowledge.readAct(unit.mapping, unit.key, false))) {
    planStrays(planner, unit, takeStrays(knowledge, unit, 'new too'));
  } else {
    planChange(planner, unit, { head, wasThere });
  }
}

/** The centre has it as it was: this is the difference. What it has of the record itself stays. */
function planChange(
  planner: Planner,
  unit: ActUnit,
  { head, wasThere }: { head: Head; wasThere: boolean },
): void {
  const { knowledge, plan } = planner;
  const { mapping, key } = unit;
  takeStrays(knowledge, unit);
  const isMadeAndGone = !wasThere && head !== undefined && !head.row;
  if (changesRecord(unit) && !isMadeAndGone)
    plan.refusals.push(refusalOf(knowledge, unit, { reason: 'already_sent', detail: ALREADY_SENT }));
  planBatch(planner, unit, { head: undefined, name: nameOf(unit) });
  if (head?.row) knowledge.see(mapping.name, key);
  else if (head) leave(knowledge, unit);
}

/** Not the act that the centre has under this key or this id. */
function isAnother(knowledge: Knowledge, unit: ActUnit, wasThere: boolean): boolean {
  const { mapping, rows } = unit;
  const isGone = rows.some((row) => row.op === 'D' && row.table === mapping.table);
  return (isGone || !wasThere) && !isBack(knowledge, mapping, findHead(unit));
}

/** The key of one that was deleted may come again for another act: SQLite gives numbers out again. */
function planNew(
  planner: Planner,
  unit: ActUnit,
  { head, wasThere }: { head: NonNullable<Head>; wasThere: boolean },
): void {
  const { knowledge } = planner;
  const { mapping, key, rows } = unit;
  const name = nameOf(unit);
  knowledge.see(mapping.name, key);
  planner.whole = { act: mapping.name, key, older: false };
  if (!wasThere && rows.every(({ old }) => old === undefined)) {
    planBatch(planner, unit, { head, name });
    return;
  }
  if (!wasThere) planStrays(planner, unit, takeStrays(knowledge, unit));
  else markStrays(knowledge, unit, untouched(unit, knowledge.readAct(mapping, key, false)));
  const present = knowledge.readAct(mapping, key, false);
  if (wasThere) {
    // What goes with the act that is gone: all that was captured, but for the new one.
    const without = dropStrays(knowledge, unit, present).map(reversed);
    planBatch(
      { ...planner, whole: undefined },
      { ...unit, rows: [...rows, ...without] },
      { head: undefined, name: `${name} gone` },
    );
  }
  planWhole(planner, unit, { rows: present, name });
}

/** Refused so far: whatever was changed, the act is sent as it is now, in one. */
function planAnew(planner: Planner, unit: ActUnit, open: OpenAct): void {
  const { knowledge, plan } = planner;
  const { mapping, key, loose } = unit;
  const present = knowledge.readAct(mapping, key, loose);
  const settled: Plan['anew'][number] = { act: open.act, key, entry: open.entry, as: undefined };
  plan.anew.push(settled);
  // Asked for by somebody, without a change: its name follows from the refused batch.
  const name = unit.rows.at(-1)?.token ?? `${present[0]?.token ?? ''} ${open.entry}`;
  if (!isThere(unit, present)) {
    knowledge.unsee(mapping.name, key);
    planLeft(planner, unit, { rows: present, name });
    return;
  }
  planStrays(planner, unit, takeStrays(knowledge, unit));
  planner.whole = { act: mapping.name, key, older: open.older };
  settled.as = planWhole(planner, unit, { rows: present, name: `${name} anew` });
}

/** The head is gone, and the centre never had the act. Movements that stay are in the books: they count by themselves. */
function planLeft(
  planner: Planner,
  unit: ActUnit,
  { rows, name }: { rows: readonly CapturedRow[]; name: string },
): void {
  const { knowledge } = planner;
  planStrays(planner, unit, takeStrays(knowledge, unit));
  planStrays(planner, unit, markStrays(knowledge, unit, dropStrays(knowledge, unit, rows)), `${name} left`);
}

function planWhole(
  planner: Planner,
  unit: ActUnit,
  { rows, name }: { rows: readonly CapturedRow[]; name: string },
): string | undefined {
  const whole = { ...unit, rows: dropStrays(planner.knowledge, unit, rows) };
  return planBatch(planner, whole, { head: findHead(whole), name });
}

function planStrays(planner: Planner, unit: ActUnit, rows: CapturedRow[], name = nameOf(unit)): void {
  if (rows.length === 0) return;
  planBatch({ ...planner, whole: undefined }, { ...unit, rows }, { head: undefined, name: `${name} stray` });
}

/** A unit's name in its batches: no other change has it. */
function nameOf({ rows }: ActUnit): string {
  return rows[0]?.token ?? '';
}

/** Returns the batchId; undefined when there is nothing to be sent. */
function planBatch(
  planner: Planner,
  unit: ActUnit,
  { head, name }: { head: Head; name: string },
): string | undefined {
  const { plan, knowledge } = planner;
  const { mapping, rows } = unit;
  const mutations = headMutations(mapping, knowledge.partition, { head, rows });
  for (const movements of mapping.movements) mutations.push(...movementMutations(planner, movements, rows));
  if (mutations.length === 0) return undefined;
  const batch = batchOf(knowledge, unit, { mutations, rows, name });
  plan.batches.push({ ...batch, ...openOf(planner) });
  return batch.batchId;
}

const ALREADY_SENT =
  'changed after the centre had accepted it: what it has stays, a correction is a new record (a credit note)';

/**
 * The centre keeps the record of an act that is deleted here. Should its id come again, under whatever key, it is that
 * act, changed. Noted before anything is planned: the id may come again in the same transaction.
 */
export function findGoneIds(knowledge: Knowledge, units: readonly Unit[]): void {
  for (const unit of units) {
    if (unit.kind !== 'act' || unit.loose) continue;
    const { mapping, key, rows } = unit;
    const first = rows.find((row) => row.table === mapping.table);
    const isGone = rows.some((row) => row.op === 'D' && row.table === mapping.table);
    if (!isGone || !first?.old || knowledge.findOpenAct(mapping.name, key)) continue;
    const isSent = knowledge.isSeen(mapping.name, key) || !knowledge.backfilling;
    const id = isSent ? findId(mapping.id, knowledge.partition, first.old) : undefined;
    if (id !== undefined) knowledge.see(mapping.name, goneName(id));
  }
}

function isBack(knowledge: Knowledge, mapping: ActMapping, head: Head): boolean {
  const id = head?.row && findId(mapping.id, knowledge.partition, head.row);
  return id !== undefined && knowledge.isSeen(mapping.name, goneName(id));
}

function goneName(id: string): string {
  return `gone\n${id}`;
}

/** Its head was deleted. The movements that stay are at the centre, and belong to no act any more. */
function leave(knowledge: Knowledge, unit: ActUnit): void {
  const { mapping, key } = unit;
  knowledge.unsee(mapping.name, key);
  markStrays(knowledge, unit, knowledge.readAct(mapping, key, false));
}

/** Its movements that nothing was captured of. */
function untouched({ mapping, rows }: ActUnit, present: readonly CapturedRow[]): CapturedRow[] {
  const nameOf = ({ table, new: row }: CapturedRow): string | undefined => {
    const movements = mapping.movements.find((one) => one.table === table);
    return movements && row && `${table} ${keyOf(movements.key, row)}`;
  };
  const touched = new Set(rows.map(nameOf));
  return present.filter((row) => !touched.has(nameOf(row)));
}

/** Not: only children that name it. */
function isThere({ mapping, loose }: ActUnit, present: readonly CapturedRow[]): boolean {
  return loose ? present.length > 0 : present.some(({ table }) => table === mapping.table);
}

/** It begins in what was captured. */
function isBornHere({ mapping, loose, rows }: ActUnit): boolean {
  const first = loose ? rows[0] : rows.find(({ table }) => table === mapping.table);
  return first?.op === 'I';
}

function reversed(row: CapturedRow): CapturedRow {
  return { ...row, op: 'D', old: row.new, new: undefined };
}

type Head = { row: Row | undefined; isNew: boolean } | undefined;

function findHead({ mapping, key, rows }: ActUnit): Head {
  const heads = rows.filter((row) => row.table === mapping.table);
  return heads.length === 0 ? undefined : foldRows(mapping.key, heads).get(key);
}

function changesRecord({ mapping, rows }: ActUnit): boolean {
  return rows.some(
    (row) => row.table === mapping.table || mapping.lines.some((one) => one.table === row.table),
  );
}

/** The record of the act; nothing for a movement without a head, or a head that was deleted again. */
function headMutations(
  mapping: ActMapping,
  partition: string,
  { head, rows }: { head: Head; rows: readonly CapturedRow[] },
): Mutation[] {
  if (!head?.row) return [];
  const data = { ...mapping.constants, ...toFields(mapping.fields, head.row) };
  for (const lines of mapping.lines) data[lines.field] = linesOf(lines, rows);
  const id = toId(mapping.id, partition, head.row);
  return [{ collection: mapping.collection, id, op: 'put', partition, data }];
}

function linesOf({ table, key, orderBy, fields }: LinesMapping, rows: readonly CapturedRow[]): RecordData[] {
  const own = rows.filter((row) => row.table === table);
  const left = [...foldRows(key, own).values()].flatMap(({ row }) => (row ? [row] : []));
  if (orderBy) left.sort((a, b) => compareRows(orderBy, a, b));
  return left.map((row) => toFields(fields, row));
}

function compareRows(columns: readonly string[], a: Row, b: Row): number {
  for (const name of columns) {
    const [x, y] = [a[name] ?? '', b[name] ?? ''];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
