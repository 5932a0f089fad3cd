import type { Mutation } from '../protocol/sync.ts';
import { SluiceError } from '../sdk/errors.ts';
import type { FileStore } from '../sdk/file-store.ts';
import type { NewBatch, QueuedBatch } from '../sdk/store.ts';
import type { Backfill } from './backfill.ts';
import type { DownTargets } from './down.ts';
import type { Ledger } from './ledger.ts';
import type { Mapping } from './mapping.ts';
import type { PlannedBatch } from './planner.ts';
import { planUnits } from './planner.ts';
import type { Unit } from './units.ts';
import { groupUnits } from './units.ts';
import type { Resender } from './resend.ts';

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
  /** There is more to be moved. */
  more: boolean;
}

/** Acts that begin among the first `take` rows are moved; the rest of their rows is looked for up to `look` rows on. */
const WINDOW = { take: 2_000, look: 25_000 };
const BACKFILL_ROWS = 50;
/** Above it, what is captured stays where it is: just as safe, and the outbox stays quick. */
const MAX_OUTBOX = 5_000;
const CREATES_PER_BATCH = 200;

export function isOutboxFull(queue: number): boolean {
  return queue >= MAX_OUTBOX;
}

/** One step. Throws what SQLite throws (busy, full); nothing has changed then. */
export function drainOnce(drain: Drain): DrainResult {
  const { ledger, store, backfill, targets, resender } = drain;
  return store.enqueueInTransaction(({ enqueue }) => {
    for (const one of resender.takeRetries(enqueue)) targets.track(one.batchId, one.mutations);
    const captured = takeUnits(drain);
    const backfilling = backfill.state() !== undefined;
    // Only when nothing else waits: what was sold meanwhile must be known before older rows are looked at.
    const units =
      captured.rows.length === 0 && backfilling
        ? groupUnits(drain.mapping, backfill.next(BACKFILL_ROWS))
        : captured.units;
    const result = queueUnits(drain, units, enqueue);
    ledger.removeCaptured(captured.rows);
    targets.applyDeferred();
    const more = captured.more || backfill.state() !== undefined;
    return { ...result, rows: captured.rows.length, more };
  });
}

/** Whole acts only: in a long backlog a window might end in the middle of one. */
function takeUnits({ ledger, mapping }: Drain): { units: Unit[]; rows: number[]; more: boolean } {
  const few = ledger.captured(WINDOW.take);
  if (few.length < WINDOW.take)
    return { units: groupUnits(mapping, few), rows: few.map((row) => row.n), more: false };
  const rows = ledger.captured(WINDOW.take + WINDOW.look);
  const all = groupUnits(mapping, rows);
  const begun = all.filter((unit) => unit.first < WINDOW.take);
  const taken = new Set(rows.slice(0, WINDOW.take).map((row) => row.n));
  for (const unit of begun) if (unit.kind === 'act') for (const row of unit.rows) taken.add(row.n);
  // What was written in between belongs to the same transactions: a product that a sale has brought, for example.
  const reach = rows.findLastIndex((row) => taken.has(row.n));
  const also = all.filter(
    (unit) => unit.kind === 'record' && unit.first >= WINDOW.take && unit.first <= reach,
  );
  for (const unit of also) if (unit.kind === 'record') taken.add(unit.row.n);
  return { units: [...begun, ...also], rows: [...taken], more: true };
}

type Enqueue = (batch: NewBatch) => QueuedBatch;

function queueUnits(
  drain: Drain,
  units: readonly Unit[],
  enqueue: Enqueue,
): { batches: number; refused: number } {
  const { ledger, partition, backfill, now } = drain;
  const plan = planUnits(units, { ...ledger, partition, backfilling: backfill.state() !== undefined });
  let batches = queueCreates(drain, plan.creates, enqueue);
  for (const batch of plan.batches) {
    const refusal = tryEnqueue(() => enqueueTracked(drain, batch, enqueue));
    if (refusal === undefined) batches += 1;
    else plan.refusals.push({ ...describe(batch), ...refusal });
  }
  const at = now().toISOString();
  for (const refusal of plan.refusals) ledger.refuse(refusal, at);
  return { batches, refused: plan.refusals.length };
}

function describe({ act, key, rows }: PlannedBatch): { act: string; key: string; rows: number } {
  return { act, key, rows };
}

function enqueueTracked(drain: Drain, batch: PlannedBatch, enqueue: Enqueue): void {
  const { batchId } = enqueue({ batchId: batch.batchId, mutations: batch.mutations });
  drain.targets.track(batchId, batch.mutations);
}

/** Not atomic: one that is there already must not keep the others from being made. */
function queueCreates(drain: Drain, creates: readonly Mutation[], enqueue: Enqueue): number {
  let batches = 0;
  const put = (mutations: readonly Mutation[]): { reason: string; detail: string } | undefined =>
    tryEnqueue(() => {
      const { batchId } = enqueue({ mutations, atomic: false });
      drain.targets.track(batchId, mutations);
      batches += 1;
    });
  for (let at = 0; at < creates.length; at += CREATES_PER_BATCH) {
    const chunk = creates.slice(at, at + CREATES_PER_BATCH);
    if (put(chunk) === undefined) continue;
    // One of them cannot be sent: each by itself, so that only that one is refused.
    for (const one of chunk) {
      const refusal = put([one]);
      if (!refusal) continue;
      drain.ledger.forget(one.collection, one.id);
      const refused = { act: one.collection, key: one.id, rows: 1, ...refusal };
      drain.ledger.refuse(refused, drain.now().toISOString());
    }
  }
  return batches;
}

/** What the wire could never take is refused here, visibly, and does not hold up the queue. */
function tryEnqueue(fn: () => void): { reason: string; detail: string } | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    const isRefusal =
      error instanceof SluiceError && (error.code === 'payload_too_large' || error.code === 'invalid_batch');
    if (!isRefusal) throw error;
    return { reason: error.code, detail: error.message };
  }
}
