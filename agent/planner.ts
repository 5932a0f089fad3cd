import { addNumbers } from '../protocol/decimal.ts';
import type { Mutation, RecordData } from '../protocol/sync.ts';
import { MappingFault, toFields, toId, toNumber, toWire } from './convert.ts';
import { concernsStore } from './creates.ts';
import type { CapturedRow, LocalRefusal, OpenAct } from './ledger.ts';
import type { Row } from './literal.ts';
import type { ActMapping, LinesMapping, MovementsMapping } from './mapping.ts';
import type { Knowledge, OpenKey, Plan, Planner } from './plan.ts';
import { batchOf, refusalOf } from './plan.ts';
import { planRecord, settle } from './record-plan.ts';
import type { ActUnit, Unit } from './units.ts';
import { foldRows } from './units.ts';

/** Turns units into batches. Reads what it must know through `Knowledge`; writes nothing but what it remembers. */

/** Plans units in their order. What cannot be planned is refused by itself, whatever the cause; the others go on. */
export function planUnits(units: readonly Unit[], knowledge: Knowledge): Plan {
  const plan: Plan = { creates: [], batches: [], refusals: [], anew: [], settled: [] };
  const planner: Planner = { plan, knowledge, created: new Map(), whole: undefined };
  for (const unit of units) {
    planner.whole = undefined;
    try {
      if (unit.kind === 'act') planAct(planner, unit);
      else planRecord(planner, unit);
    } catch (error) {
      if (concernsStore(error)) throw error;
      const refusal = refusalOf(knowledge, unit, reasonOf(error));
      if (unit.kind === 'record') settle(planner, unit, refusal.key);
      plan.refusals.push({ ...refusal, ...openOf(planner) });
    }
  }
  return plan;
}

function reasonOf(error: unknown): Pick<LocalRefusal, 'reason' | 'detail'> {
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: error instanceof MappingFault ? 'unmappable' : 'failed', detail };
}

function openOf({ whole }: Planner): { open?: OpenKey } {
  return whole ? { open: whole } : {};
}

function planAct(planner: Planner, unit: ActUnit): void {
  const { plan, knowledge } = planner;
  const { mapping, rows, key } = unit;
  const open = knowledge.findOpenAct(mapping.name, key);
  if (open) {
    planAnew(planner, unit, open);
    return;
  }
  const head = findHead(unit);
  const stage = stageOf(knowledge, unit, head);
  // Its rows are still to be read as they are now.
  if (stage === 'later') return;
  if (stage === 'new') planner.whole = { act: mapping.name, key, older: rows[0]?.n === 0 };
  if (stage === 'sent' && changesRecord(unit))
    plan.refusals.push(refusalOf(knowledge, unit, { reason: 'already_sent', detail: ALREADY_SENT }));
  planBatch(planner, unit, { head: stage === 'new' ? head : undefined, name: rows[0]?.token ?? '' });
}

/** Refused so far: whatever was changed, the act is sent as it is now, in one. */
function planAnew(planner: Planner, unit: ActUnit, open: OpenAct): void {
  const { knowledge, plan } = planner;
  const { mapping, key, loose } = unit;
  const rows = knowledge.readAct(mapping, key, loose);
  const settled: Plan['anew'][number] = { act: open.act, key, entry: open.entry, as: undefined };
  plan.anew.push(settled);
  if (rows.length === 0) knowledge.unsee(mapping.name, key);
  if (rows.length === 0) return;
  planner.whole = { act: mapping.name, key, older: open.older };
  const present = { ...unit, rows };
  // Asked for by somebody, without a change: its name follows from the refused batch.
  const name = unit.rows.at(-1)?.token ?? `${rows[0]?.token ?? ''} ${open.entry}`;
  settled.as = planBatch(planner, present, { head: findHead(present), name: `${name} anew` });
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

/** Where an act stands, and remembers that it was seen. A deleted head's key may come again for another act. */
function stageOf(knowledge: Knowledge, unit: ActUnit, head: Head): 'new' | 'sent' | 'later' {
  const { mapping, key, loose, rows } = unit;
  const isSeen = knowledge.isSeen(mapping.name, key);
  const isNew = loose ? rows.some((row) => row.op === 'I') : head?.isNew === true;
  if (isNew) knowledge.see(mapping.name, key);
  else if (isGone(unit)) knowledge.unsee(mapping.name, key);
  if (isNew) return isSeen && !isGone(unit) ? 'sent' : 'new';
  return knowledge.backfilling && !isSeen ? stageOfOlder(knowledge, unit) : 'sent';
}

/** Changed before the older rows have been gone through. */
function stageOfOlder(knowledge: Knowledge, unit: ActUnit): 'sent' | 'later' {
  const { mapping, key, loose } = unit;
  if (!loose) return isWithoutHead(knowledge, unit) ? 'sent' : 'later';
  if (!knowledge.adopting) return 'later';
  // The centre has it as it was: this is the difference.
  knowledge.see(mapping.name, key);
  return 'sent';
}

const ALREADY_SENT =
  'changed after the centre had accepted it: what it has stays, a correction is a new record (a credit note)';

/** New movements that name a head which is not there: no older act will bring them. */
function isWithoutHead(knowledge: Knowledge, { mapping, key, rows }: ActUnit): boolean {
  return rows.every(({ op }) => op === 'I') && knowledge.readAct(mapping, key, false).length === 0;
}

/** Its head was deleted: should the same key come again (SQLite gives numbers out again), it is another act. */
function isGone({ mapping, rows }: ActUnit): boolean {
  return rows.some((row) => row.op === 'D' && row.table === mapping.table);
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

/** One increment per record, of the sum of its movements; a movement changed or deleted counts by its difference. */
function movementMutations(
  planner: Planner,
  mapping: MovementsMapping,
  rows: readonly CapturedRow[],
): Mutation[] {
  const { partition } = planner.knowledge;
  const sums = new Map<string, Record<string, number>>();
  const add = (row: Row | undefined, sign: 1 | -1): void => {
    if (!row) return;
    const id = toId(mapping.id, partition, row);
    const sum = sums.get(id) ?? {};
    sums.set(id, sum);
    for (const [field, spec] of Object.entries(mapping.increment)) {
      const value = toNumber(toWire(row[spec.column] ?? null, spec), spec.column);
      sum[field] = addNumbers(sum[field] ?? 0, sign * value);
    }
    ensureRecord(planner, mapping, { id, row });
  };
  for (const row of rows) {
    if (row.table !== mapping.table) continue;
    add(row.old, -1);
    add(row.new, 1);
  }
  return [...sums].flatMap(([id, sum]): Mutation[] => {
    const increment = Object.fromEntries(Object.entries(sum).filter(([, value]) => value !== 0));
    if (Object.keys(increment).length === 0) return [];
    return [{ collection: mapping.collection, id, op: 'patch', partition, increment }];
  });
}

/** A record that is not known at the centre is created first, in a batch of its own: it may be there all the same. */
function ensureRecord(
  planner: Planner,
  mapping: MovementsMapping,
  { id, row }: { id: string; row: Row },
): void {
  const { knowledge, plan, created } = planner;
  const { collection } = mapping;
  if (knowledge.isKnown(collection, id)) return;
  const data = creationOf(knowledge, mapping, row);
  plan.creates.push({ collection, id, op: 'put', partition: knowledge.partition, data });
  created.set(`${collection}\n${id}`, data);
  knowledge.remember(collection, id);
}

/** What the record of a movement begins with. */
export function creationOf(
  knowledge: Pick<Knowledge, 'lookup'>,
  { create }: MovementsMapping,
  row: Row,
): RecordData {
  const looked = lookUp(knowledge, create.lookup, row);
  return { ...create.constants, ...toFields(create.fields, row), ...looked };
}

function lookUp(
  knowledge: Pick<Knowledge, 'lookup'>,
  lookup: MovementsMapping['create']['lookup'],
  row: Row,
): RecordData {
  if (!lookup) return {};
  const on = Object.fromEntries(
    Object.entries(lookup.on).map(([theirs, ours]) => [theirs, row[ours] ?? null]),
  );
  const columns = Object.values(lookup.fields).map((spec) => spec.column);
  const found = knowledge.lookup(lookup.table, on, columns);
  return found ? toFields(lookup.fields, found) : {};
}
