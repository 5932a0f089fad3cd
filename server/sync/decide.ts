import { LIMITS } from '../../protocol/limits.ts';
import type { Mutation, MutationResult, RecordData } from '../../protocol/sync.ts';
import { mayKnowOf, mayWriteCollection, mayWritePartition } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { checkStep, conflict, fitsBase } from './case.ts';
import type { Case, Outcome } from './case.ts';
import type { Collection, Collections } from './collections.ts';
import { patch } from './patch.ts';
import { Refused, refuse, tooLarge, tooManyFields, tooMuch } from './refused.ts';
import { findUnstorablePart } from './storable.ts';
import { createTally } from './tally.ts';
import type { Tally } from './tally.ts';
import type { WorkingRecord, WorkingSet } from './working-set.ts';

/**
 * Decides what each mutation of a batch does: pure functions over the records that were loaded
 * (docs/PROTOCOL.md, sections "Verdicts" and "Policies"). Nothing here reads a clock, a database or a socket.
 */

interface Context {
  principal: Principal;
  collections: Collections;
  records: WorkingSet;
  /** The gateway itself writes (chat, for example): it may write its internal collections. */
  trusted: boolean;
  /** The batch may hold what cannot be kept: look at each mutation closely. */
  suspicious: boolean;
  /** JSON texts of the puts' data, as far as they are made already. */
  texts: ReadonlyMap<Mutation, string>;
}

export interface Decision {
  results: MutationResult[];
  /** A conflict names a version that is not allotted yet: decide again in the next group. */
  deferred: boolean;
  /** What it cost, in bytes of records. */
  work: number;
}

/**
 * Decides a batch. An atomic one with any refusal changes nothing: its offenders keep their code, the others get
 * `batch_refused`. `records` holds the changed records afterwards.
 */
export function decideBatch(context: Context, mutations: readonly Mutation[], atomic: boolean): Decision {
  const results: MutationResult[] = [];
  const tally = createTally();
  let refusals = 0;
  let deferred = false;
  context.records.begin();
  for (const mutation of mutations) {
    const outcome = decideMutation(context, mutation, tally);
    if (outcome instanceof Refused) {
      refusals += 1;
      deferred ||= outcome.pending;
      results.push(tally.shown(outcome.result));
    } else {
      context.records.set(mutation, outcome.record);
      results.push({ status: outcome.status });
    }
  }
  if ((atomic && refusals > 0) || deferred) {
    context.records.rollback();
    return {
      deferred,
      work: tally.work,
      results: results.map((result) => (result.code ? result : refuse('batch_refused').result)),
    };
  }
  return { results, deferred, work: tally.work };
}

function decideMutation(context: Context, mutation: Mutation, tally: Tally): Outcome {
  const collection = context.collections.get(mutation.collection);
  if (!collection) return refuse('unknown_collection', mutation.collection);
  const subject = toCase(context, collection, mutation, tally);
  const refused = checkAccess(context, subject);
  if (refused) return refused;
  const outcome = { put, patch, delete: remove }[mutation.op](subject);
  if (outcome instanceof Refused || outcome.record === null) return outcome;
  const { record } = outcome;
  // a copy of this batch was checked before it was edited
  const fault = record === subject.current ? undefined : checkRecord(context, subject, record);
  // only now: whatever else is wrong is told as it would be of an id that is free
  return fault ?? (subject.isTaken ? refuse('forbidden_partition', undefined, TAKEN) : outcome);
}

const TAKEN = 'The id is taken in a partition that you may neither read nor write.';

function toCase(context: Context, collection: Collection, mutation: Mutation, tally: Tally): Case {
  const { principal, records, texts } = context;
  const inSight = (record: WorkingRecord | null): WorkingRecord | null =>
    record && mayKnowOf(principal, mutation.collection, record.partition) ? record : null;
  const stored = records.get(mutation);
  const current = inSight(stored);
  return {
    collection,
    mutation,
    current,
    isTaken: stored !== null && current === null,
    known: inSight(records.before(mutation)),
    text: texts.get(mutation),
    partition: mutation.partition ?? current?.partition ?? defaultPartition(principal),
    version: records.pendingVersion,
    principal,
    tally,
  };
}

function checkAccess(context: Context, subject: Case): Refused | undefined {
  const { principal, trusted, suspicious } = context;
  const { collection, current, partition, mutation } = subject;
  if (!trusted && collection.numbered !== undefined) return refuse('forbidden');
  if (!mayWriteCollection(principal, collection.name)) return refuse('forbidden');
  const touched = current && current.partition !== partition ? [current.partition, partition] : [partition];
  if (!touched.every((name) => mayWritePartition(principal, name))) return refuse('forbidden_partition');
  // before anything of it could be echoed in a stored verdict
  const fault = suspicious ? findUnstorablePart(mutation) : undefined;
  return fault && refuse('schema_violation', fault.path, fault.message);
}

/** A record that names no partition goes to the only one its writer may write, else to `default`. */
function defaultPartition(principal: Principal): string {
  const [only, ...others] = principal.grants.write;
  return only !== undefined && others.length === 0 && only !== '*' ? only : 'default';
}

function put(subject: Case): Outcome {
  const { mutation, current, partition, version } = subject;
  const { data } = mutation;
  if (!data) return refuse('invalid_mutation', 'data', 'A put needs `data`.');
  if (mutation.set ?? mutation.unset ?? mutation.increment ?? mutation.guard)
    return refuse(
      'invalid_mutation',
      'op',
      'A put takes `data` alone: set, unset and increment are a patch’s.',
    );
  const refused = current ? checkReplacing(subject, current, data) : checkCreating(subject);
  if (refused) return refused;
  const record: WorkingRecord = {
    partition,
    data,
    version,
    baseVersion: version,
    fieldVersions: {},
    size: 0,
  };
  if (subject.text !== undefined) record.json = subject.text;
  return { status: 'applied', record };
}

function checkCreating(subject: Case): Refused | undefined {
  const meant = (subject.mutation.baseVersion ?? 0) > 0;
  return meant && !fitsBase(subject) ? conflict('stale_version', subject) : undefined;
}

function checkReplacing(subject: Case, current: WorkingRecord, data: RecordData): Refused | undefined {
  const { policy } = subject.collection;
  if (policy === 'append_only') return refuse('already_exists');
  if (policy !== 'last_write' && !fitsBase(subject)) return conflict('stale_version', subject);
  return checkStep(subject, current.data, (field) => data[field]);
}

function remove(subject: Case): Outcome {
  const { collection, mutation, current } = subject;
  if (collection.policy === 'append_only')
    return refuse('invalid_mutation', 'op', 'This collection only takes puts.');
  if (!current) return refuse('not_found');
  const mustMatch = collection.policy === 'reject_stale' || mutation.baseVersion !== undefined;
  if (mustMatch && collection.policy !== 'last_write' && !fitsBase(subject))
    return conflict('stale_version', subject);
  return { status: 'applied', record: null };
}

/** Judges a record that a put or a batch's first patch has made, as a whole. */
function checkRecord(context: Context, subject: Case, record: WorkingRecord): Refused | undefined {
  const { collection, current, mutation, tally, version } = subject;
  if (collection.numbered !== undefined) {
    record.data = {
      ...record.data,
      [collection.numbered]: context.records.nextNumber(collection.name, record.partition),
    };
    delete record.json;
  }
  if (mutation.data && Object.keys(record.data).length > LIMITS.recordFields) return tooManyFields();
  const fault = collection.findFault(record.data);
  if (fault) return refuse('schema_violation', fault.path, fault.message);
  record.json ??= JSON.stringify(record.data);
  record.size = Buffer.byteLength(record.json);
  if (record.size > LIMITS.recordBytes) return tooLarge();
  // of several puts of one record the last alone is written
  const replaced = current?.version === version ? current.size : 0;
  return tally.writes(record.size - replaced)
    ? undefined
    : refuse('payload_too_large', '', tooMuch(mutation));
}
