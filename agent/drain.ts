import type { FileStore } from '../sdk/file-store.ts';
import type { Backfill } from './backfill.ts';
import type { Enqueue } from './creates.ts';
import { queueCreates, tryEnqueue } from './creates.ts';
import type { DownTargets } from './down.ts';
import { olderRowsOf } from './claim.ts';
import type { CapturedRow, Ledger, OpenAct } from './ledger.ts';
import type { Mapping } from './mapping.ts';
import type { Plan } from './plan.ts';
import { planUnits } from './planner.ts';
import type { RecordUnit, Unit } from './units.ts';
import { groupUnits, keyOf } from './units.ts';
import type { Resender, Resent } from './resend.ts';

/**
 * Moves captured rows into the outbox, in one local transaction: a kill leaves them in one place or in the other, never
 * in both and never in none. The ERP writes an act in one transaction, so its rows become visible together; an act is
 * taken with all of its rows or not yet.
 */

export interface Drain {
  ledger: Ledger;
  store: FileStore;
  mapping: Mapping;
  partition: string;
  backfill: Backfill;
  targets: DownTargets;
  resender: Resender;
  now: () => Date;
}

export interface DrainResult {
  rows: number;
  batches: number;
  refused: number;
  /** Refused batches that were put into the outbox again. */
  resent: Resent[];
  /** There is more to be moved. */
  more: boolean;
  /** Changes of acts whose first batch has no verdict yet: to be looked at again when one has come. */
  waiting: boolean;
}

/** Acts that begin among the first `take` rows are moved; the rest of their rows is looked for up to `look` rows on. */
const WINDOW = { take: 2_000, look: 25_000 };
const BACKFILL_ROWS = 50;
/** Above it, what is captured stays where it is: just as safe, and the outbox stays quick. */
const MAX_OUTBOX = 5_000;

export function isOutboxFull(queue: number): boolean {
  return queue >= MAX_OUTBOX;
}

/** One step. Throws what SQLite throws (busy, full); nothing has changed then. */
export function drainOnce(drain: Drain): DrainResult {
  const { ledger, store, backfill, targets, resender } = drain;
  return store.enqueueInTransaction((transaction) => {
    const enqueue = targets.tracking(transaction.enqueue);
    const { resent, anew, records } = resender.takeRetries(enqueue);
    const captured = takeSettled(drain);
    const isIdle = isNothing(captured) && anew.length + records.length === 0;
    // Only when nothing else waits: what was sold or changed meanwhile must be known before older rows are looked at.
    const older = isIdle && backfill.state() !== undefined ? backfill.next(BACKFILL_ROWS) : [];
    const units = [
      ...captured.units,
      ...groupUnits(drain.mapping, older),
      ...unitsAnew(drain, anew, captured),
      ...records.filter((one) => !isAmong(one, captured.units)),
    ];
    const result = queueUnits(drain, units, enqueue);
    ledger.removeCaptured(captured.rows);
    targets.applyDeferred();
    const waiting = captured.held.length > 0;
    const goesOn = backfill.state() !== undefined && !backfill.isHeld() && !backfill.isWaiting();
    const more = captured.more || (goesOn && !waiting) || resender.hasRetries();
    return { ...result, resent: [...resent, ...result.resent], rows: captured.rows.length, more, waiting };
  });
}

function isNothing({ rows, more, held }: Settled): boolean {
  return rows.length === 0 && !more && held.length === 0;
}

interface Taken {
  units: Unit[];
  rows: number[];
  more: boolean;
}

interface Settled extends Taken {
  /** They wait for a verdict. */
  held: Unit[];
}

/**
 * Without the changes of acts whose first batch is still on its way: what they mean depends on its verdict. Accepted, they
 * are changes of what the centre has; refused, the act goes as a whole anew.
 */
function takeSettled(drain: Drain): Settled {
  const taken = withoutWaiting(drain, takeUnits(drain, WINDOW));
  if (!taken.more) return taken;
  // An act that goes as it is in the database takes all of its rows along.
  const isWhole = taken.units.some((unit) => isSentWhole(drain, unit));
  const far = isWhole ? withoutWaiting(drain, takeUnits(drain, { ...WINDOW, look: EVERYTHING })) : taken;
  // What stands behind rows that wait must not wait with them.
  if (far.rows.length > 0) return far;
  const { more: _, ...all } = withoutWaiting(drain, takeUnits(drain, { take: EVERYTHING, look: 0 }));
  return { ...all, more: false };
}

const EVERYTHING = 1e12;

/** Whether it may be read from the database: refused so far, not gone through yet, or another one under its key. */
function isSentWhole(drain: Drain, unit: Unit): boolean {
  if (unit.kind !== 'act') return false;
  const { mapping, key, rows } = unit;
  const isToCome = drain.backfill.state() !== undefined && !drain.ledger.isSeen(mapping.name, key);
  const isGone = rows.some(({ op, table }) => op === 'D' && table === mapping.table);
  return isToCome || isGone || isOpen(drain, unit, 'refused');
}

function isOpen({ ledger }: Drain, unit: Unit, state: OpenAct['state']): boolean {
  return unit.kind === 'act' && ledger.findOpenAct(unit.mapping.name, unit.key)?.state === state;
}

function withoutWaiting(drain: Drain, { units, rows, more }: Taken): Settled {
  const waiting = new Set<number>();
  const isWaiting = (unit: Unit): boolean =>
    isOpen(drain, unit, 'queued') || rowsOf(unit).some(({ n }) => waiting.has(n));
  let left = units;
  // A row may be part of several units: they wait together.
  for (let before = -1; before !== left.length;) {
    before = left.length;
    left = left.filter((unit) => {
      if (!isWaiting(unit)) return true;
      for (const { n } of rowsOf(unit)) waiting.add(n);
      return false;
    });
  }
  const kept = new Set(left);
  const held = units.filter((unit) => !kept.has(unit));
  return { units: left, rows: rows.filter((n) => !waiting.has(n)), more, held };
}

function rowsOf(unit: Unit): readonly CapturedRow[] {
  return unit.kind === 'act' ? unit.rows : [unit.row];
}

/** Acts that are to be sent anew and have not been captured by themselves. */
function unitsAnew({ mapping }: Drain, anew: readonly OpenAct[], { units, held }: Settled): Unit[] {
  const captured = [...units, ...held];
  return anew.flatMap(({ act, key }): Unit[] => {
    const found = mapping.acts.find(({ name }) => name === act);
    const isThere = captured.some(
      (unit) => unit.kind === 'act' && unit.mapping === found && unit.key === key,
    );
    if (!found || isThere) return [];
    return [{ kind: 'act', mapping: found, key, loose: !key.startsWith('['), rows: [], first: 0 }];
  });
}

/** Captured by itself it goes as it is now in any case. */
function isAmong({ mapping, row }: RecordUnit, units: readonly Unit[]): boolean {
  const key = keyOf(mapping.key, row.new ?? {});
  return units.some(
    (one) =>
      one.kind === 'record' && one.mapping === mapping && keyOf(mapping.key, one.row.new ?? {}) === key,
  );
}

/** Whole acts only: in a long backlog a window might end in the middle of one. */
function takeUnits({ ledger, mapping }: Drain, window: { take: number; look: number }): Taken {
  const few = ledger.captured(window.take);
  if (few.length < window.take)
    return { units: groupUnits(mapping, few), rows: few.map((row) => row.n), more: false };
  const rows = ledger.captured(window.take + window.look);
  const all = groupUnits(mapping, rows);
  const taken = new Set(rows.slice(0, window.take).map((row) => row.n));
  for (let before = -1; before !== taken.size;) {
    before = taken.size;
    // What was written in between belongs to the same transactions: a product that a sale has brought, for example.
    const reach = rows.findLastIndex((row) => taken.has(row.n));
    const pulled = all.filter((unit) => isPulled(unit, taken, reach));
    for (const { n } of pulled.flatMap(rowsOf)) taken.add(n);
  }
  return {
    units: all.filter((unit) => rowsOf(unit).some(({ n }) => taken.has(n))),
    rows: [...taken],
    more: true,
  };
}

/** A row may be part of several units: they are taken together. */
function isPulled(unit: Unit, taken: ReadonlySet<number>, reach: number): boolean {
  if (unit.kind === 'record' && unit.first <= reach) return true;
  return rowsOf(unit).some(({ n }) => taken.has(n));
}

function queueUnits(
  drain: Drain,
  units: readonly Unit[],
  enqueue: Enqueue,
): { batches: number; refused: number; resent: Resent[] } {
  const { ledger } = drain;
  const plan = planUnits(units, knowledgeOf(drain));
  for (const { act, key, entry } of plan.anew) {
    ledger.closeAct(act, key);
    ledger.dismiss(entry);
  }
  const settled = plan.settled.flatMap(({ record, as }) =>
    ledger.settleRefused(record).flatMap((batchId) => (as === undefined ? [] : [{ batchId, as }])),
  );
  const created = queueCreates(plan.creates, enqueue);
  for (const { create, reason, detail } of created.refused) {
    const { collection, id } = create;
    ledger.forget(collection, id);
    plan.refusals.push({ act: collection, key: id, rows: 1, reason, detail });
  }
  let { batches } = created;
  for (const { batchId, mutations, open, ...act } of plan.batches) {
    const refusal = tryEnqueue(() => enqueue({ batchId, mutations }));
    if (refusal !== undefined) plan.refusals.push({ ...act, ...refusal, ...(open ? { open } : {}) });
    else batches += 1;
    if (open && refusal === undefined) ledger.putOpenAct({ ...open, state: 'queued', entry: batchId });
  }
  noteRefusals(drain, plan.refusals);
  const resent = plan.anew.flatMap(({ entry, as }) => (as === undefined ? [] : [{ batchId: entry, as }]));
  return { batches, refused: plan.refusals.length, resent: [...resent, ...settled] };
}

function knowledgeOf({ ledger, partition, backfill }: Drain): Parameters<typeof planUnits>[1] {
  const adopting = olderRowsOf(ledger) === 'adopt' || olderRowsOf(ledger) === 'held';
  const backfilling = backfill.state() !== undefined;
  return { ...ledger, partition, backfilling, adopting, readAct: (...act) => backfill.readAct(...act) };
}

function noteRefusals({ ledger, now }: Drain, refusals: Plan['refusals']): void {
  const at = now().toISOString();
  for (const { open, ...refusal } of refusals) {
    const entry = String(ledger.refuse(refusal, at));
    if (open) ledger.putOpenAct({ ...open, state: 'refused', entry });
  }
}
