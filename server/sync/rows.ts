import { randomInt } from 'node:crypto';
import type { Change, MutationResult } from '../../protocol/sync.ts';
import type { Submission } from './submission.ts';
import { keyOf, pendingPlace } from './working-set.ts';
import type { RecordChange, WorkingRecord } from './working-set.ts';

/** A batch with its verdict, ready to be written. */
export interface DecidedBatch {
  submission: Submission;
  results: MutationResult[];
  changes: RecordChange[];
  /** Its place among the group's versions: 1, 2, 3…; null when it changed nothing. */
  place: number | null;
}

/** A change as the log has it; `prevPartition` is set where the change moved the record. */
export interface LoggedChange extends Change {
  op: 'put' | 'delete';
  prevPartition: string | null;
  mark: number;
  bytes: number;
}

/** One change on its way into the log, its data still as JSON text. */
export interface ChangeRow {
  ord: number;
  idx: number;
  mark: number;
  change: RecordChange;
  submission: Submission;
  /** What becomes of the record's row; null where a later batch of the group changes it again. */
  fate: 'put' | 'gone' | null;
  /** Version of the record's row as it was judged; null when there was none. */
  expected: number | null;
  json: string | null;
}

/** The group's changes in the order of the log, and how many rows of records they put or delete. */
export function toChangeRows(batches: readonly DecidedBatch[]): { rows: ChangeRow[]; records: number } {
  const rows: ChangeRow[] = [];
  const latest = new Map<string, ChangeRow>();
  for (const { submission, changes, place } of batches) {
    const mark = randomInt(1, 2 ** 47);
    for (let idx = 0; idx < changes.length; idx += 1) {
      const change = changes[idx] as RecordChange;
      const key = keyOf(change);
      const earlier = latest.get(key);
      const expected = earlier ? earlier.expected : (change.before?.version ?? null);
      if (earlier) earlier.fate = null;
      const json = jsonOf(change.after);
      const fate = change.after ? 'put' : expected === null ? null : 'gone';
      const row: ChangeRow = { ord: place ?? 0, idx, mark, change, submission, fate, expected, json };
      latest.set(key, row);
      rows.push(row);
    }
  }
  let records = 0;
  for (const { fate } of latest.values()) if (fate !== null) records += 1;
  return { rows, records };
}

function jsonOf(record: WorkingRecord | null): string | null {
  return record ? (record.json ?? JSON.stringify(record.data)) : null;
}

/** Places, in the group, of the batches that last patched the record's fields; null when none did. */
function touchedBy(record: WorkingRecord): Record<string, number> | null {
  let touched: Record<string, number> | null = null;
  for (const field of Object.keys(record.fieldVersions)) {
    const place = pendingPlace(record.fieldVersions[field] ?? 0);
    if (place !== null) (touched ??= {})[field] = place;
  }
  return touched;
}

/** A change as the write statement reads it. */
export function changeJson(row: ChangeRow): string {
  const { change, submission } = row;
  const { after } = change;
  const head = JSON.stringify({
    ord: row.ord,
    idx: row.idx,
    collection: change.collection,
    id: change.id,
    partition: partitionOf(change),
    prev: movedFrom(change),
    bytes: row.json?.length ?? 0,
    mark: row.mark,
    principal: submission.principalKey,
    ...(submission.sequenced ? { client_id: submission.clientId, seq: submission.push.seq } : {}),
    fate: row.fate,
    expected: row.expected,
    ...(after ? { base: pendingPlace(after.baseVersion), touched: touchedBy(after) } : {}),
  });
  return row.json === null ? head : `${head.slice(0, -1)},"data":${row.json}}`;
}

/** A batch as the write statement reads it: for its stored result and its audit row. */
export function batchJson({ submission, results, place }: DecidedBatch): string {
  const { push, sequenced } = submission;
  let [refused, code]: [number, string | undefined] = [0, undefined];
  for (const result of results) {
    if (result.code === undefined) continue;
    refused += 1;
    if (result.code !== 'batch_refused') code ??= result.code;
  }
  return JSON.stringify({
    ord: place ?? undefined,
    client_id: sequenced ? submission.clientId : undefined,
    incarnation: sequenced ? submission.incarnation : undefined,
    seq: sequenced ? push.seq : undefined,
    batch_id: push.batchId,
    hash: submission.hash,
    results,
    principal: submission.principalKey,
    code: refused > 0 ? (code ?? 'batch_refused') : undefined,
    ip: submission.ip,
    mutations: results.length,
    refused,
  });
}

/** The change as the log has it once its version is known. */
export function toLogged(row: ChangeRow, base: number, at: string): LoggedChange {
  const { change, submission } = row;
  const { after } = change;
  const version = base + row.ord;
  const logged: LoggedChange = {
    version,
    index: row.idx,
    collection: change.collection,
    id: change.id,
    op: after ? 'put' : 'delete',
    partition: partitionOf(change),
    prevPartition: movedFrom(change),
    recordVersion: version,
    at,
    by: submission.sequenced
      ? { principal: submission.principalKey, clientId: submission.clientId, seq: submission.push.seq }
      : { principal: submission.principalKey },
    mark: row.mark,
    bytes: row.json?.length ?? 0,
  };
  if (after) logged.data = after.data;
  return logged;
}

function partitionOf({ before, after }: RecordChange): string {
  return after?.partition ?? before?.partition ?? '';
}

function movedFrom({ before, after }: RecordChange): string | null {
  return after && before && before.partition !== after.partition ? before.partition : null;
}
