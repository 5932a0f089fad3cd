import type { Mutation } from '../protocol/sync.ts';
import { SluiceError } from '../sdk/errors.ts';
import type { EnqueueTransaction } from '../sdk/file-store.ts';
import { sqliteFaultOf } from './errors.ts';

/** How records that must be there before anything is added to them get into the outbox. */

export type Enqueue = EnqueueTransaction['enqueue'];

/** Why the wire could never take something. */
export interface Unsendable {
  reason: string;
  detail: string;
}

const CREATES_PER_BATCH = 200;

/**
 * Not atomic: one that is there already must not keep the others from being made. Batches that are too large are halved,
 * so that only what cannot be sent by itself is left over: that is returned.
 */
export function queueCreates(
  creates: readonly Mutation[],
  enqueue: Enqueue,
): { batches: number; refused: (Unsendable & { create: Mutation })[] } {
  let batches = 0;
  const refused: (Unsendable & { create: Mutation })[] = [];
  const put = (some: readonly Mutation[]): void => {
    const unsendable = tryEnqueue(() => enqueue({ mutations: some, atomic: false }));
    const [create] = some;
    if (unsendable === undefined) batches += 1;
    else if (some.length === 1 && create) refused.push({ create, ...unsendable });
    else {
      const half = some.length >> 1;
      put(some.slice(0, half));
      put(some.slice(half));
    }
  };
  for (let at = 0; at < creates.length; at += CREATES_PER_BATCH)
    put(creates.slice(at, at + CREATES_PER_BATCH));
  return { batches, refused };
}

/** What the wire could never take does not hold up the queue: undefined when it was queued. */
export function tryEnqueue(fn: () => void): Unsendable | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    if (concernsStore(error)) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    return { reason: error instanceof SluiceError ? error.code : 'failed', detail };
  }
}

/** Whether a fault has nothing to do with what was being queued: then nothing else can be queued either. */
export function concernsStore(error: unknown): boolean {
  if (error instanceof SluiceError)
    return error.code !== 'payload_too_large' && error.code !== 'invalid_batch';
  return sqliteFaultOf(error) !== undefined;
}
