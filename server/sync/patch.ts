import { LIMITS } from '../../protocol/limits.ts';
import type { Mutation, RecordData } from '../../protocol/sync.ts';
import { checkStep, conflict, fitsBase } from './case.ts';
import type { Case, Outcome } from './case.ts';
import type { Collection } from './collections.ts';
import { applyEdits, editsOf, growthOf, noteTouched, ownValue, touch, valueAfter } from './edits.ts';
import type { Edits } from './edits.ts';
import { Refused, refuse, tooLarge, tooManyFields, tooMuch } from './refused.ts';
import type { WorkingRecord } from './working-set.ts';

/** Decides a patch (docs/PROTOCOL.md, sections "Verdicts" and "Policies"). */
export function patch(subject: Case): Outcome {
  const { mutation, current, version } = subject;
  const malformed = checkForm(subject);
  if (malformed) return malformed;
  if (!current) return refuse('not_found');
  const behind = isBehind(subject);
  const stale = behind ? checkOverlap(subject) : checkPresent(subject);
  if (stale) return stale;
  const edits = editsOf(mutation, current.data);
  if (edits instanceof Refused) return edits;
  const after = (field: string): unknown => valueAfter(edits, current.data, field);
  const refused = checkStep(subject, current.data, after) ?? checkGuard(mutation, after);
  if (refused) return refused;
  const record = isCopy(current, version)
    ? editAgain(subject, current, edits)
    : editCopy(subject, current, edits);
  return record instanceof Refused ? record : { status: behind ? 'merged' : 'applied', record };
}

/** Whether the record is a copy that a patch of this very batch has made. */
function isCopy(
  record: WorkingRecord,
  version: number,
): record is WorkingRecord & { copy: { fields: number } } {
  return record.copy !== undefined && record.version === version;
}

/** The first patch of a record in its batch: what others see of the record stays as it is. */
function editCopy(subject: Case, current: WorkingRecord, edits: Edits): WorkingRecord | Refused {
  const { mutation, partition, version, tally } = subject;
  if (!tally.copies(current.size)) return refuse('payload_too_large', '', tooMuch(mutation));
  const data = { ...current.data };
  applyEdits(data, edits);
  const fields = Object.keys(data).length;
  if (fields > LIMITS.recordFields && growthOf(edits, current.data).fields > 0) return tooManyFields();
  return { partition, data, version, ...touch(mutation, current, version), size: 0, copy: { fields } };
}

/** A further patch in the same batch: all that is refused is refused before the copy is touched. */
function editAgain(
  { collection, mutation, partition, version, tally }: Case,
  current: WorkingRecord & { copy: { fields: number } },
  edits: Edits,
): WorkingRecord | Refused {
  const { data, copy } = current;
  const fault = collection.findFault(partOf(collection, data, edits));
  if (fault) return refuse('schema_violation', fault.path, fault.message);
  const growth = growthOf(edits, data);
  if (growth.fields > 0 && copy.fields + growth.fields > LIMITS.recordFields) return tooManyFields();
  if (growth.bytes > 0 && current.size + growth.bytes > LIMITS.recordBytes) return tooLarge();
  if (!tally.writes(growth.bytes)) return refuse('payload_too_large', '', tooMuch(mutation));
  noteTouched(current.fieldVersions, mutation, data, version);
  applyEdits(data, edits);
  copy.fields += growth.fields;
  current.size += growth.bytes;
  current.partition = partition;
  delete current.json;
  return current;
}

/** What a schema has to see of a record that was valid before the edits: what they touch, and what must be there. */
function partOf({ required }: Collection, data: RecordData, edits: Edits): RecordData {
  const part: RecordData = {};
  for (const field of required) if (Object.hasOwn(data, field)) part[field] = data[field];
  applyEdits(part, edits);
  return part;
}

/** A patch that says nothing, or a guard that is not understood, is a mistake: applied, it would hide it. */
function checkForm({ collection, mutation }: Case): Refused | undefined {
  const { data, set, unset, increment, guard, partition } = mutation;
  if (data) return refuse('invalid_mutation', 'data', 'A patch takes set, unset and increment, not data.');
  if (collection.policy === 'append_only')
    return refuse('invalid_mutation', 'op', 'This collection only takes puts.');
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

/**
 * Fields set or removed here that others changed since `baseVersion`; all of them on a version that the record has not
 * reached, which tells nothing of what was seen. Increments commute: they never overlap.
 */
function overlappingFields({ mutation, known }: Case): string[] {
  const base = mutation.baseVersion ?? 0;
  if (!known) return [];
  const isAhead = base > known.version;
  return [...Object.keys(mutation.set ?? {}), ...(mutation.unset ?? [])].filter(
    (field) => isAhead || (ownValue(known.fieldVersions, field) ?? known.baseVersion) > base,
  );
}

function checkGuard(mutation: Mutation, after: (field: string) => unknown): Refused | undefined {
  for (const [field, { min, max }] of Object.entries(mutation.guard ?? {})) {
    const value = after(field);
    const holds = typeof value === 'number' && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
    if (!holds) return refuse('guard_failed', field);
  }
  return undefined;
}
