import { ERRORS } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { Mutation, RecordData } from '../../protocol/sync.ts';
import { mayReadRecord } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { Collection } from './collections.ts';
import { ownValue } from './edits.ts';
import { Refused, refuse } from './refused.ts';
import { stepText } from './step-text.ts';
import type { Tally } from './tally.ts';
import { pendingPlace } from './working-set.ts';
import type { WorkingRecord } from './working-set.ts';

/** One mutation with all that decides it. */
export interface Case {
  collection: Collection;
  mutation: Mutation;
  /** The record as the batch has it so far; null when there is none in sight. */
  current: WorkingRecord | null;
  /** There is one out of sight. */
  isTaken: boolean;
  /** The record before this batch: only what others did can make a mutation stale. */
  known: WorkingRecord | null;
  /** The partition the record is in afterwards. */
  partition: string;
  /** JSON text of a put's data. */
  text: string | undefined;
  /** The version the change will have. */
  version: number;
  principal: Principal;
  /** What the batch has cost so far. */
  tally: Tally;
}

export type Outcome = { record: WorkingRecord | null; status: 'applied' | 'merged' } | Refused;

/** Whether the mutation was made on the record as others left it; none at all counts as version 0. */
export function fitsBase({ mutation, known }: Case): boolean {
  return known ? mutation.baseVersion === known.version : (mutation.baseVersion ?? 0) === 0;
}

export function checkStep(
  subject: Case,
  from: RecordData,
  to: (field: string) => unknown,
): Refused | undefined {
  const { collection, mutation, known, principal } = subject;
  if (!collection.states) return undefined;
  const { field, steps } = collection.states;
  const [before, after] = [from[field], to(field)];
  if (before === after || typeof before !== 'string') return undefined;
  const allowed = ownValue(steps, before) ?? [];
  if (typeof after === 'string' && allowed.includes(after)) return undefined;
  // what it was is nobody's to learn who may not read it
  const isReadable = known === null || mayReadRecord(principal, mutation.collection, known.partition);
  return refuse('illegal_transition', field, isReadable ? stepText(steps, before, after) : undefined);
}

/** A conflict shows the record as others left it, to those who may read it. */
export function conflict(code: ErrorCode, { mutation, known, principal }: Case, fields?: string[]): Refused {
  const pending = known !== null && pendingPlace(known.version) !== null;
  const readable = known !== null && mayReadRecord(principal, mutation.collection, known.partition);
  return new Refused(
    {
      status: 'conflict',
      code,
      message: ERRORS[code].message,
      conflict: {
        yours: mutation.data ?? mutation.set ?? null,
        theirs: readable ? known.data : null,
        ...(known && !pending ? { theirsVersion: known.version } : {}),
        ...(fields ? { fields } : {}),
      },
    },
    pending,
  );
}
