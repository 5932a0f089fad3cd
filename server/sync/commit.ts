import { randomInt } from 'node:crypto';
import type pg from 'pg';
import type { Change, Mutation, MutationResult } from '../../protocol/sync.ts';
import type { Submission } from './submission.ts';
import { keyOf, pendingPlace, WorkingSet } from './working-set.ts';
import type { RecordChange, WorkingRecord } from './working-set.ts';

/** What a group commit reads and writes: two statements that load and lock, one that writes everything. */

/** Where an installation's sequence stands, as loaded and locked. */
export interface ClientPosition {
  lastSeq: number;
  principal: string;
}

/** A batch with its verdict, ready to be written. */
export interface DecidedBatch {
  submission: Submission;
  results: MutationResult[];
  changes: RecordChange[];
  /** Its place among the group's versions: 1, 2, 3…; null when it changed nothing. */
  place: number | null;
}

/** A group that is committed: contiguous versions, in memory as the log has them. */
export interface CommittedGroup {
  /** The versions are `from` + 1 … `to`. */
  from: number;
  to: number;
  /** Mark of version `to`. */
  mark: number;
  changes: LoggedChange[];
}

/** A change as the log has it; `prevPartition` is set where the change moved the record. */
export interface LoggedChange extends Change {
  op: 'put' | 'delete';
  prevPartition: string | null;
  mark: number;
  bytes: number;
}

/**
 * Each row is fetched and locked on its own, by its whole key, in the order of the arrays: as a join the planner, which
 * prepares this while it believes the tables small, reads the whole tenant for every group.
 */
const LOCK_CLIENTS = {
  name: 'sync-lock-clients',
  text: `SELECT found.* FROM unnest($2::uuid[], $3::text[]) AS wanted(client_id, incarnation), LATERAL (
           SELECT client_id, incarnation, last_seq, principal FROM sync_clients s
           WHERE s.tenant_id = $1 AND s.client_id = wanted.client_id AND s.incarnation = wanted.incarnation
           FOR NO KEY UPDATE) AS found`,
};

/** Locks the installations' rows in key order. Maps `clientKey` to the position. */
export async function lockClients(
  tx: pg.PoolClient,
  tenantId: number,
  submissions: readonly Submission[],
): Promise<Map<string, ClientPosition>> {
  if (submissions.length === 0) return new Map();
  const keys = new Map(submissions.map((submission) => [clientKey(submission), submission]));
  const wanted = inKeyOrder(keys);
  const { rows } = await tx.query<{
    client_id: string;
    incarnation: string;
    last_seq: number;
    principal: string;
  }>({
    ...LOCK_CLIENTS,
    values: [tenantId, wanted.map((s) => s.clientId), wanted.map((s) => s.incarnation)],
  });
  return new Map(
    rows.map((row) => [
      clientKey({ clientId: row.client_id, incarnation: row.incarnation }),
      { lastSeq: row.last_seq, principal: row.principal },
    ]),
  );
}

/** The same order on every node, so that two groups never wait for each other in a circle. */
function inKeyOrder<T>(keyed: ReadonlyMap<string, T>): T[] {
  return [...keyed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

export function clientKey(client: { clientId: string; incarnation: string }): string {
  return `${client.clientId}/${client.incarnation}`;
}

const LOCK_RECORDS = {
  name: 'sync-lock-records',
  text: `SELECT found.* FROM unnest($2::text[], $3::text[]) AS wanted(collection, id), LATERAL (
           SELECT collection, id, partition, version, base_version, field_versions, data FROM records r
           WHERE r.tenant_id = $1 AND r.collection = wanted.collection AND r.id = wanted.id
           FOR NO KEY UPDATE) AS found`,
};

/** The rows exist before they are locked, or the first two writers of a partition would both give the number 1. */
const ADD_COUNTERS = {
  name: 'sync-add-counters',
  text: `INSERT INTO partition_counters (tenant_id, collection, partition, last)
         SELECT DISTINCT $1::integer, w.collection, w.partition, 0 FROM unnest($2::text[], $3::text[]) AS w(collection, partition)
         WHERE NOT EXISTS (SELECT FROM partition_counters c
           WHERE c.tenant_id = $1 AND c.collection = w.collection AND c.partition = w.partition)
         ORDER BY 2, 3 ON CONFLICT DO NOTHING`,
};

const LOCK_COUNTERS = {
  name: 'sync-lock-counters',
  text: `SELECT collection, partition, last FROM partition_counters
         WHERE tenant_id = $1 AND collection = ANY($2) AND partition = ANY($3)
         ORDER BY collection, partition FOR NO KEY UPDATE`,
};

interface LoadedRecord {
  collection: string;
  id: string;
  partition: string;
  version: number;
  base_version: number;
  field_versions: Record<string, number>;
  data: Record<string, unknown>;
}

/** Locks and loads every record the mutations name, and the counters of the numbered partitions among them. */
export async function lockRecords(
  tx: pg.PoolClient,
  tenantId: number,
  mutations: readonly Mutation[],
  numbered: ReadonlySet<string>,
): Promise<WorkingSet> {
  const keys = new Map(mutations.map((mutation) => [keyOf(mutation), mutation]));
  const wanted = inKeyOrder(keys);
  const { rows } = await tx.query<LoadedRecord>({
    ...LOCK_RECORDS,
    values: [tenantId, wanted.map((m) => m.collection), wanted.map((m) => m.id)],
  });
  const counted = wanted.filter((m) => numbered.has(m.collection) && m.partition !== undefined);
  const counters = counted.length === 0 ? [] : await lockCounters(tx, tenantId, counted);
  return new WorkingSet(
    rows.map((row): [string, WorkingRecord] => [
      keyOf(row),
      {
        partition: row.partition,
        version: row.version,
        baseVersion: row.base_version,
        fieldVersions: row.field_versions,
        data: row.data,
      },
    ]),
    counters.map((row): [string, number] => [`${row.collection}/${row.partition}`, row.last]),
  );
}

async function lockCounters(
  tx: pg.PoolClient,
  tenantId: number,
  counted: readonly Mutation[],
): Promise<{ collection: string; partition: string; last: number }[]> {
  const values = [tenantId, counted.map((m) => m.collection), counted.map((m) => m.partition)];
  await tx.query({ ...ADD_COUNTERS, values });
  return (await tx.query({ ...LOCK_COUNTERS, values })).rows as {
    collection: string;
    partition: string;
    last: number;
  }[];
}

const STORED_RESULT = {
  name: 'sync-stored-result',
  text: `SELECT hash, version, results, batch_id FROM sync_batches
         WHERE tenant_id = $1 AND client_id = $2 AND incarnation = $3 AND seq = $4`,
};

export interface StoredResult {
  hash: Buffer;
  batch_id: string;
  version: number | null;
  results: MutationResult[];
}

/** Finds the stored result of a batch that was judged before. */
export async function findStoredResult(
  tx: pg.PoolClient,
  submission: Submission,
): Promise<StoredResult | undefined> {
  const { principal, clientId, incarnation, push } = submission;
  const values = [principal.tenantId, clientId, incarnation, push.seq];
  const { rows } = await tx.query<StoredResult>({ ...STORED_RESULT, values });
  return rows[0];
}

/** Name of the constraint that a batchId under a second seq violates. */
export const BATCH_ID_KEY = 'sync_batches_batch_id_key';

/** Which of the submissions' batchIds have been used. */
export async function findUsedIds(
  pool: pg.Pool,
  tenantId: number,
  submissions: readonly Submission[],
): Promise<Set<string>> {
  const { rows } = await pool.query<{ batch_id: string }>(
    'SELECT batch_id FROM sync_batches WHERE tenant_id = $1 AND batch_id = ANY($2::uuid[])',
    [tenantId, submissions.map(({ push }) => push.batchId)],
  );
  return new Set(rows.map((row) => row.batch_id));
}

/**
 * Writes a whole group in one statement and advances the tenant's clock in it, once. One version per batch that
 * changed something; the clock's row lock is held from here to the commit, so whoever sees version v sees all below it
 * (docs/PROTOCOL.md, "Order").
 */
const WRITE = {
  name: 'sync-write',
  text: `WITH clock AS (
    UPDATE sync_versions SET head = head + $2 WHERE tenant_id = $1 RETURNING head - $2 AS base
  ), change AS MATERIALIZED (
    SELECT * FROM json_to_recordset($3) AS c(ord int, idx int, collection text, id text, op text, partition text,
      prev text, data jsonb, bytes int, mark bigint, principal text, client_id uuid, seq bigint, kind text, base int,
      touched json)
  ), inserted AS (
    INSERT INTO records (tenant_id, collection, id, partition, version, base_version, data, field_versions)
    SELECT $1, collection, id, partition, clock.base + ord, clock.base + c.base, data, coalesce(
      (SELECT jsonb_object_agg(key, clock.base + value::bigint) FROM json_each_text(c.touched)), '{}')
    FROM change c, clock WHERE kind = 'new'
  ), updated AS (
    UPDATE records r SET partition = c.partition, version = clock.base + c.ord, data = c.data,
      base_version = coalesce(clock.base + c.base, r.base_version),
      field_versions = CASE WHEN c.base IS NULL THEN r.field_versions ELSE '{}' END || coalesce(
        (SELECT jsonb_object_agg(key, clock.base + value::bigint) FROM json_each_text(c.touched)), '{}')
    FROM change c, clock WHERE c.kind = 'old' AND r.tenant_id = $1 AND r.collection = c.collection AND r.id = c.id
  ), deleted AS (
    DELETE FROM records r USING change c
    WHERE c.kind = 'gone' AND r.tenant_id = $1 AND r.collection = c.collection AND r.id = c.id
  ), logged AS (
    INSERT INTO changes (tenant_id, version, idx, collection, record_id, op, partition, prev_partition, data, bytes, at,
      mark, principal, client_id, seq)
    SELECT $1, clock.base + ord, idx, collection, id, op, partition, prev, data, bytes, $4, mark, principal, client_id, seq
    FROM change, clock
  ), batch AS MATERIALIZED (
    SELECT * FROM json_to_recordset($5) AS b(ord int, client_id uuid, incarnation text, seq bigint, batch_id uuid,
      hash text, results json, principal text, success boolean, code text, ip text, request_id text, details jsonb)
  ), stored AS (
    INSERT INTO sync_batches (tenant_id, client_id, incarnation, seq, batch_id, hash, version, results)
    SELECT $1, client_id, incarnation, seq, batch_id, decode(hash, 'hex'), clock.base + ord, results FROM batch, clock
  ), audited AS (
    INSERT INTO audit_logs (tenant_id, action, principal, success, code, ip, request_id, details)
    SELECT $1, 'sync.push', principal, success, code, ip, request_id,
      details || jsonb_build_object('version', clock.base + ord) FROM batch, clock
  ), advanced AS (
    -- the rows are there and locked: this never inserts, and it always goes by the key
    INSERT INTO sync_clients (tenant_id, client_id, incarnation, principal, last_seq)
    SELECT $1, client_id, incarnation, max(principal), max(seq) FROM batch WHERE incarnation <> '' GROUP BY 2, 3
    ON CONFLICT (tenant_id, client_id, incarnation) DO UPDATE SET last_seq = excluded.last_seq, last_seen_at = $4
  ) SELECT base FROM clock`,
};

const WRITE_COUNTERS = {
  name: 'sync-write-counters',
  text: `INSERT INTO partition_counters (tenant_id, collection, partition, last)
         SELECT $1, split_part(key, '/', 1), substr(key, strpos(key, '/') + 1), value::bigint FROM json_each_text($2)
         ON CONFLICT (tenant_id, collection, partition) DO UPDATE SET last = excluded.last`,
};

/** A group as it was written, not yet committed. */
export interface WrittenGroup {
  /** The tenant's position before it. */
  base: number;
  at: string;
  rows: ChangeRow[];
  versions: number;
}

/** Writes the decided batches. Returns the committed form of the group; the caller commits. */
export async function writeGroup(
  tx: pg.PoolClient,
  tenantId: number,
  batches: readonly DecidedBatch[],
  records: WorkingSet,
): Promise<WrittenGroup> {
  const at = new Date().toISOString();
  const { rows, batchRows } = toRows(batches);
  const numbers = records.numbers();
  const versions = records.versions;
  if (numbers.size > 0) {
    await tx.query({ ...WRITE_COUNTERS, values: [tenantId, JSON.stringify(Object.fromEntries(numbers))] });
  }
  const { rows: clock } = await tx.query<{ base: number }>({
    ...WRITE,
    values: [tenantId, versions, `[${rows.map(changeJson).join(',')}]`, at, `[${batchRows.join(',')}]`],
  });
  const base = clock[0]?.base;
  if (base === undefined) throw new Error(`tenant ${tenantId} has no clock`);
  return { base, at, rows, versions };
}

type RowKind = 'new' | 'old' | 'gone' | null;

/** One change on its way into the log, its data still as JSON text. */
export interface ChangeRow {
  ord: number;
  idx: number;
  mark: number;
  change: RecordChange;
  submission: Submission;
  /** What becomes of the record's row; null where a later batch of the group changes it again. */
  kind: RowKind;
  json: string | null;
}

function toRows(batches: readonly DecidedBatch[]): { rows: ChangeRow[]; batchRows: string[] } {
  const rows: ChangeRow[] = [];
  const batchRows: string[] = [];
  const existed = new Map<string, boolean>();
  const latest = new Map<string, ChangeRow>();
  for (const { submission, results, changes, place } of batches) {
    const mark = randomInt(1, 2 ** 47);
    for (const [idx, change] of changes.entries()) {
      const row: ChangeRow = {
        ord: place ?? 0,
        idx,
        mark,
        change,
        submission,
        kind: null,
        json: jsonOf(change.after),
      };
      const key = keyOf(change);
      if (!existed.has(key)) existed.set(key, change.before !== null);
      latest.set(key, row);
      rows.push(row);
    }
    batchRows.push(batchJson({ submission, results, changes, place }));
  }
  for (const [key, row] of latest) {
    const stored = existed.get(key) === true;
    row.kind = row.change.after ? (stored ? 'old' : 'new') : stored ? 'gone' : null;
  }
  return { rows, batchRows };
}

function jsonOf(record: WorkingRecord | null): string | null {
  return record ? (record.json ?? JSON.stringify(record.data)) : null;
}

/** Places, in the group, of the batches that last patched the record's fields. */
function touchedBy(record: WorkingRecord): Record<string, number> {
  const touched: Record<string, number> = {};
  for (const [field, version] of Object.entries(record.fieldVersions)) {
    const place = pendingPlace(version);
    if (place !== null) touched[field] = place;
  }
  return touched;
}

function changeJson(row: ChangeRow): string {
  const { change, submission } = row;
  const after = change.after;
  const place = placeOf(submission);
  const partition = after?.partition ?? change.before?.partition ?? '';
  const moved =
    after && change.before && change.before.partition !== after.partition ? change.before.partition : null;
  const head = JSON.stringify({
    ord: row.ord,
    idx: row.idx,
    collection: change.collection,
    id: change.id,
    op: after ? 'put' : 'delete',
    partition,
    prev: moved,
    bytes: row.json?.length ?? 0,
    mark: row.mark,
    principal: submission.principalKey,
    client_id: place.clientId,
    seq: place.seq,
    kind: row.kind,
    base: after ? pendingPlace(after.baseVersion) : null,
    touched: after ? touchedBy(after) : {},
  });
  return row.json === null ? head : `${head.slice(0, -1)},"data":${row.json}}`;
}

function batchJson({ submission, results, place }: DecidedBatch): string {
  const refused = results.filter((result) => result.code !== undefined);
  return JSON.stringify({
    ord: place,
    client_id: submission.clientId,
    incarnation: submission.incarnation,
    seq: submission.push.seq,
    batch_id: submission.push.batchId,
    hash: submission.hash,
    results,
    principal: submission.principalKey,
    success: refused.length === 0,
    code: refused.find((result) => result.code !== 'batch_refused')?.code ?? null,
    ip: submission.ip ?? null,
    request_id: null,
    details: {
      ...placeOf(submission),
      batchId: submission.push.batchId,
      mutations: results.length,
      refused: refused.length,
    },
  });
}

/** The installation's place; a write has none. */
function placeOf({ sequenced, clientId, push }: Submission): { clientId?: string; seq?: number } {
  return sequenced ? { clientId, seq: push.seq } : {};
}

/** The group as the log has it now, for the tail to take from memory. */
export function toCommittedGroup(written: WrittenGroup): CommittedGroup {
  const { base, at, rows, versions } = written;
  return {
    from: base,
    to: base + versions,
    mark: rows.at(-1)?.mark ?? 0,
    changes: rows.map((row) => toLogged(row, base, at)),
  };
}

function toLogged(row: ChangeRow, base: number, at: string): LoggedChange {
  const { change, submission } = row;
  const { before, after } = change;
  const version = base + row.ord;
  return {
    version,
    index: row.idx,
    collection: change.collection,
    id: change.id,
    op: after ? 'put' : 'delete',
    partition: after?.partition ?? before?.partition ?? '',
    prevPartition: after && before && before.partition !== after.partition ? before.partition : null,
    ...(after ? { data: after.data } : {}),
    recordVersion: version,
    at,
    by: { principal: submission.principalKey, ...placeOf(submission) },
    mark: row.mark,
    bytes: row.json?.length ?? 0,
  };
}
