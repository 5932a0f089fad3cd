import { addNumbers } from '../../protocol/decimal.ts';
import { ERRORS } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Mutation, MutationResult, RecordData } from '../../protocol/sync.ts';
import { mayKnowOf, mayReadRecord, mayWriteCollection, mayWritePartition } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { Collection, Collections } from './collections.ts';
import { findUnstorable, findUnstorablePart } from './storable.ts';
import { stepText } from './step-text.ts';
import { createTally } from './tally.ts';
import { pendingPlace } from './working-set.ts';
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
}

type Outcome = { record: WorkingRecord | null; status: 'applied' | 'merged' } | Refused;

class Refused {
  readonly result: MutationResult;
  readonly pending: boolean;

  constructor(result: MutationResult, pending = false) {
    this.result = result;
    this.pending = pending;
  }
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
      results: results.map((result) => (result.code ? result : refuse('batch_refused').result)),
    };
  }
  return { results, deferred };
}

function decideMutation(
  context: Context,
  mutation: Mutation,
  tally: ReturnType<typeof createTally>,
): Outcome {
  const collection = context.collections.get(mutation.collection);
  if (!collection) return refuse('unknown_collection', mutation.collection);
  const subject = toCase(context, collection, mutation);
  const refused = checkAccess(context, subject);
  if (refused) return refused;
  const outcome = { put, patch, delete: remove }[mutation.op](subject);
  if (outcome instanceof Refused || outcome.record === null) return outcome;
  const checked = checkRecord(context, collection, outcome);
  if (checked instanceof Refused) return checked;
  if (tally.overflows(checked.record))
    return refuse('payload_too_large', '', 'The batch makes more than 4 MiB of records: split it.');
  // only now: whatever else is wrong is told as it would be of an id that is free
  return subject.isTaken ? refuse('forbidden_partition', undefined, TAKEN) : checked;
}

const TAKEN = 'The id is taken in a partition that you may neither read nor write.';

function toCase({ principal, records, texts }: Context, collection: Collection, mutation: Mutation): Case {
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

/** One mutation with all that decides it. */
interface Case {
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
  const record: WorkingRecord = { partition, data, version, baseVersion: version, fieldVersions: {} };
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
  return checkStep(subject, current.data, data);
}

function patch(subject: Case): Outcome {
  const { collection, mutation, current, partition, version } = subject;
  if (mutation.data)
    return refuse('invalid_mutation', 'data', 'A patch takes set, unset and increment, not data.');
  if (collection.policy === 'append_only')
    return refuse('invalid_mutation', 'op', 'This collection only takes puts.');
  const malformed = checkPatch(mutation);
  if (malformed) return malformed;
  if (!current) return refuse('not_found');
  const behind = isBehind(subject);
  const stale = behind ? checkOverlap(subject) : checkPresent(subject);
  if (stale) return stale;
  const data = patchedData(mutation, current.data);
  if (data instanceof Refused) return data;
  const refused = checkStep(subject, current.data, data) ?? checkGuard(mutation, data);
  if (refused) return refused;
  const record = { partition, data, version, ...touch(mutation, current, version) };
  return { status: behind ? 'merged' : 'applied', record };
}

/** A patch that says nothing, or a guard that is not understood, is a mistake: applied, it would hide it. */
function checkPatch({ set, unset, increment, guard, partition }: Mutation): Refused | undefined {
  if (!set && !unset && !increment && partition === undefined)
    return refuse('invalid_mutation', 'op', 'A patch needs set, unset or increment.');
  for (const [field, bounds] of Object.entries(guard ?? {})) {
    const names = Object.keys(bounds);
    if (names.length === 0 || names.some((name) => name !== 'min' && name !== 'max'))
      return refuse('invalid_mutation', `guard.${field}`, 'A guard takes min and max.');
  }
  return undefined;
}

/** Made on an older version, where policies allow that: field by field. */
function isBehind(subject: Case): boolean {
  const { collection, mutation } = subject;
  return collection.policy === 'merge' && mutation.baseVersion !== undefined && !fitsBase(subject);
}

function checkPresent(subject: Case): Refused | undefined {
  const must = subject.collection.policy === 'reject_stale';
  return must && !fitsBase(subject) ? conflict('stale_version', subject) : undefined;
}

function checkOverlap(subject: Case): Refused | undefined {
  const overlapping = overlappingFields(subject);
  return overlapping.length > 0 ? conflict('field_conflict', subject, overlapping) : undefined;
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

/** Whether the mutation was made on the record as others left it; none at all counts as version 0. */
function fitsBase({ mutation, known }: Case): boolean {
  return known ? mutation.baseVersion === known.version : (mutation.baseVersion ?? 0) === 0;
}

function patchedData(mutation: Mutation, current: RecordData): RecordData | Refused {
  const data = { ...current, ...mutation.set };
  for (const field of mutation.unset ?? []) Reflect.deleteProperty(data, field);
  for (const [field, by] of Object.entries(mutation.increment ?? {})) {
    const value = Object.hasOwn(data, field) ? data[field] : 0;
    if (typeof value !== 'number')
      return refuse('schema_violation', field, 'Only a number can be incremented.');
    const sum = addNumbers(value, by);
    if (!Number.isFinite(sum)) return refuse('schema_violation', field, 'The sum is out of range.');
    data[field] = sum;
  }
  return data;
}

type FieldVersions = Pick<WorkingRecord, 'baseVersion' | 'fieldVersions'>;

/** Versions of fields remembered beyond those the record has: of fields that were removed. */
const MOST_REMOVED = 200;

/**
 * Notes the version at which each field was touched. Of a record whose fields come and go, those gone are forgotten in
 * time: then the whole record counts as touched, and an older base conflicts rather than being merged unseen.
 */
function touch(mutation: Mutation, current: WorkingRecord, version: number): FieldVersions {
  const { set = {}, unset = [], increment = {} } = mutation;
  const removed = unset.filter((field) => Object.hasOwn(current.data, field));
  const fieldVersions = { ...current.fieldVersions };
  for (const field of [...Object.keys(set), ...removed, ...Object.keys(increment)])
    fieldVersions[field] = version;
  const most = Object.keys(current.data).length + Object.keys(set).length + MOST_REMOVED;
  if (Object.keys(fieldVersions).length > most) return { baseVersion: version, fieldVersions: {} };
  return { baseVersion: current.baseVersion, fieldVersions };
}

/** Fields set or removed here that others changed since `baseVersion`. Increments commute: they never overlap. */
function overlappingFields({ mutation, known }: Case): string[] {
  const base = mutation.baseVersion ?? 0;
  if (!known) return [];
  return [...Object.keys(mutation.set ?? {}), ...(mutation.unset ?? [])].filter(
    (field) => (ownValue(known.fieldVersions, field) ?? known.baseVersion) > base,
  );
}

function checkGuard(mutation: Mutation, data: RecordData): Refused | undefined {
  for (const [field, { min, max }] of Object.entries(mutation.guard ?? {})) {
    const value = ownValue(data, field);
    const holds = typeof value === 'number' && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
    if (!holds) return refuse('guard_failed', field);
  }
  return undefined;
}

function checkStep(subject: Case, from: RecordData, to: RecordData): Refused | undefined {
  const { collection, mutation, known, principal } = subject;
  if (!collection.states) return undefined;
  const { field, steps } = collection.states;
  const [before, after] = [from[field], to[field]];
  if (before === after || typeof before !== 'string') return undefined;
  const allowed = ownValue(steps, before) ?? [];
  if (typeof after === 'string' && allowed.includes(after)) return undefined;
  // what it was is nobody's to learn who may not read it
  const isReadable = known === null || mayReadRecord(principal, mutation.collection, known.partition);
  return refuse('illegal_transition', field, isReadable ? stepText(steps, before, after) : undefined);
}

function checkRecord(context: Context, collection: Collection, outcome: Exclude<Outcome, Refused>): Outcome {
  const { record } = outcome;
  if (!record) return outcome;
  if (collection.numbered !== undefined) {
    record.data = {
      ...record.data,
      [collection.numbered]: context.records.nextNumber(collection.name, record.partition),
    };
    delete record.json;
  }
  const fault = collection.findFault(record.data) ?? findUnstorable(record);
  if (fault) return refuse('schema_violation', fault.path, fault.message);
  if (Buffer.byteLength(record.json ?? '') > LIMITS.recordBytes)
    return refuse('payload_too_large', '', 'The record is over 256 KiB.');
  return outcome;
}

function ownValue<T>(object: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function refuse(code: ErrorCode, path?: string, message?: string): Refused {
  return new Refused({
    status: 'rejected',
    code,
    message: message ?? ERRORS[code].message,
    ...(path === undefined ? {} : { path }),
  });
}

/** A conflict shows the record as others left it, to those who may read it. */
function conflict(code: ErrorCode, { mutation, known, principal }: Case, fields?: string[]): Refused {
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
