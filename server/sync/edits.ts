import { addWhole } from '../../protocol/decimal.ts';
import type { Mutation, RecordData } from '../../protocol/sync.ts';
import { refuse } from './refused.ts';
import type { Refused } from './refused.ts';
import type { WorkingRecord } from './working-set.ts';

/**
 * What a patch does to single fields, known before any of it is done: so a record that a batch names again and again is
 * copied, checked and written out once, and each further patch costs what it touches (docs/PROTOCOL.md, V10).
 */

/** The values that fields get; undefined where one is removed. */
export type Edits = ReadonlyMap<string, unknown>;

export function editsOf(mutation: Mutation, data: RecordData): Edits | Refused {
  const edits = new Map<string, unknown>(Object.entries(mutation.set ?? {}));
  for (const field of mutation.unset ?? []) edits.set(field, undefined);
  for (const [field, by] of Object.entries(mutation.increment ?? {})) {
    const found = valueAfter(edits, data, field);
    const value = found === undefined ? 0 : found;
    if (typeof value !== 'number')
      return refuse('schema_violation', field, 'Only a number can be incremented.');
    const sum = addWhole(value, by);
    if (sum === undefined) return refuse('schema_violation', field, 'The sum is out of range.');
    edits.set(field, sum);
  }
  return edits;
}

/** The field as it is afterwards. */
export function valueAfter(edits: Edits, data: RecordData, field: string): unknown {
  return edits.has(field) ? edits.get(field) : ownValue(data, field);
}

export function applyEdits(data: RecordData, edits: Edits): void {
  for (const [field, value] of edits) {
    if (value === undefined) Reflect.deleteProperty(data, field);
    else data[field] = value;
  }
}

/** How many fields, and how many bytes of JSON, the edits add to the record; fewer than none where they take away. */
export function growthOf(edits: Edits, data: RecordData): { fields: number; bytes: number } {
  let [fields, bytes] = [0, 0];
  for (const [field, value] of edits) {
    const before = ownValue(data, field);
    fields += Number(value !== undefined) - Number(before !== undefined);
    bytes += memberBytes(field, value) - memberBytes(field, before);
  }
  return { fields, bytes };
}

/** With its colon and its comma. */
function memberBytes(field: string, value: unknown): number {
  if (value === undefined) return 0;
  return Buffer.byteLength(JSON.stringify(field)) + Buffer.byteLength(JSON.stringify(value)) + 2;
}

/** Versions of fields remembered beyond those the record has: of fields that were removed. */
const MOST_REMOVED = 200;

/**
 * Notes the version at which each field was touched. Of a record whose fields come and go, those gone are forgotten in
 * time: then the whole record counts as touched, and an older base conflicts rather than being merged unseen.
 */
export function touch(
  mutation: Mutation,
  current: WorkingRecord,
  version: number,
): Pick<WorkingRecord, 'baseVersion' | 'fieldVersions'> {
  const fieldVersions = { ...current.fieldVersions };
  noteTouched(fieldVersions, mutation, current.data, version);
  const most = Object.keys(current.data).length + Object.keys(mutation.set ?? {}).length + MOST_REMOVED;
  if (Object.keys(fieldVersions).length > most) return { baseVersion: version, fieldVersions: {} };
  return { baseVersion: current.baseVersion, fieldVersions };
}

/** `data` as it is before the mutation: what was never there leaves no trace. */
export function noteTouched(
  fieldVersions: Record<string, number>,
  { set = {}, unset = [], increment = {} }: Mutation,
  data: RecordData,
  version: number,
): void {
  for (const field of Object.keys(set)) fieldVersions[field] = version;
  for (const field of unset) if (Object.hasOwn(data, field)) fieldVersions[field] = version;
  for (const field of Object.keys(increment)) fieldVersions[field] = version;
}

export function ownValue<T>(object: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
