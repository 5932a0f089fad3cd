import { v7 as uuidv7 } from 'uuid';
import { canonicalJson, isDeeperThan } from '../protocol/canonical.ts';
import { faultsOf } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { MutationResult, Push } from '../protocol/sync.ts';
import { push } from '../protocol/sync.ts';
import { SluiceError } from './errors.ts';
import type { InboxEntry, NewBatch, Outcome, QueuedBatch, Settlement } from './store.ts';

/** A batch that is ready to be stored, but for its seq. */
export type PreparedBatch = Omit<QueuedBatch, 'seq'>;

export const DEFAULT_MAX_OUTBOX = 100_000;

/**
 * Checks a batch against the wire's schema and limits before it is stored: what the gateway could never take must
 * fail at its author, not block the queue later. Throws SluiceError `invalid_batch` or `payload_too_large`.
 */
export function prepareBatch(batch: NewBatch, now: Date): PreparedBatch {
  const { atomic, dependsOn } = batch;
  const batchId = batch.batchId ?? uuidv7();
  const parsed = push.safeParse({
    seq: 1,
    batchId,
    mutations: batch.mutations,
    ...(atomic === undefined ? {} : { atomic }),
    ...(dependsOn === undefined ? {} : { dependsOn }),
  });
  if (!parsed.success) throw refuseShape(parsed.error);
  const prepared = parsed.data;
  if (isDeeperThan(prepared, LIMITS.depth))
    throw new SluiceError('invalid_batch', `the batch is nested deeper than ${LIMITS.depth} levels`);
  const bytes = measure(prepared);
  return {
    batchId,
    mutations: prepared.mutations,
    ...(prepared.atomic === undefined ? {} : { atomic: prepared.atomic }),
    ...(prepared.dependsOn === undefined ? {} : { dependsOn: prepared.dependsOn }),
    bytes,
    enqueuedAt: now.toISOString(),
  };
}

/** The body of `sync:push`. */
export function toPush(batch: QueuedBatch): Push {
  const { seq, batchId, mutations, atomic, dependsOn } = batch;
  return {
    seq,
    batchId,
    ...(atomic === undefined ? {} : { atomic }),
    ...(dependsOn === undefined ? {} : { dependsOn }),
    mutations,
  };
}

/** What a verdict's results come to as a whole. */
export function outcomeOf(results: readonly MutationResult[]): Exclude<Outcome, 'quarantined'> {
  if (results.some((result) => result.status === 'conflict')) return 'conflict';
  return results.some((result) => result.status === 'rejected') ? 'rejected' : 'applied';
}

/** The inbox entry of a settlement; undefined when the batch was applied. */
export function inboxEntryOf(batch: QueuedBatch, settlement: Settlement, now: Date): InboxEntry | undefined {
  const { outcome, verdict, error } = settlement;
  if (outcome === 'applied') return undefined;
  return {
    batch,
    outcome,
    ...(verdict === undefined ? {} : { verdict }),
    ...(error === undefined ? {} : { error }),
    at: now.toISOString(),
  };
}

export function outboxFull(max: number): SluiceError {
  return new SluiceError('outbox_full', `the outbox holds ${max} batches, its limit: nothing was added`);
}

function refuseShape(error: Parameters<typeof faultsOf>[0]): SluiceError {
  const fault = faultsOf(error)[0];
  const at = fault === undefined ? '' : `${fault.path}: ${fault.message}`;
  const tooMany = error.issues.some((issue) => issue.code === 'too_big' && issue.path[0] === 'mutations');
  return new SluiceError(tooMany ? 'payload_too_large' : 'invalid_batch', `the batch is not valid: ${at}`);
}

function measure(body: Push): number {
  for (const mutation of body.mutations) {
    const size = bytesOf(mutation.data ?? mutation.set ?? {});
    if (size > LIMITS.recordBytes)
      throw new SluiceError(
        'payload_too_large',
        `${mutation.collection}/${mutation.id}: ${size} bytes; a record may have ${LIMITS.recordBytes}`,
      );
  }
  const bytes = bytesOf({ ...body, seq: Number.MAX_SAFE_INTEGER });
  if (bytes > LIMITS.batchBytes)
    throw new SluiceError(
      'payload_too_large',
      `the batch has ${bytes} bytes; ${LIMITS.batchBytes} are allowed: split it`,
    );
  return bytes;
}

/** Throws SluiceError `invalid_batch` for what JSON has no form for: Infinity, NaN, a BigInt. */
function bytesOf(value: unknown): number {
  try {
    return new TextEncoder().encode(canonicalJson(value)).length;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError('invalid_batch', `the batch is not valid: ${why}`, { cause });
  }
}
