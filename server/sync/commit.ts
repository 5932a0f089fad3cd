import type { Connection } from './load.ts';
import { batchJson, changeJson, toChangeRows, toLogged } from './rows.ts';
import type { ChangeRow, DecidedBatch, LoggedChange } from './rows.ts';
import type { Submission } from './submission.ts';
import type { WorkingSet } from './working-set.ts';

/** A group that is committed: contiguous versions, in memory as the log has them. */
export interface CommittedGroup {
  /** The versions are `from` + 1 … `to`. */
  from: number;
  to: number;
  /** Mark of version `to`. */
  mark: number;
  changes: LoggedChange[];
}

/** Versions of the fields that the group's patches touched, as the record has them; none for a put. */
const FIELD_VERSIONS = `CASE WHEN touched IS NULL THEN '{}'::jsonb ELSE
        (SELECT jsonb_object_agg(key, clock.base + value::bigint) FROM json_each_text(touched)) END`;

/**
 * Writes a whole group in one statement and advances the tenant's clock in it, once. One version per batch that
 * changed something; the clock's row lock is held from here to the commit, so whoever sees version v sees all below it
 * (docs/PROTOCOL.md, "Order").
 *
 * A record is added only where there is none, and replaced only while it has the version it was judged on, found by its key
 * whatever the planner believes of the tables. `sync_require` counts: with one row missing the statement fails with 40001,
 * and nothing of it remains. Deletions come on locked rows only (push.ts).
 */
const WRITE = {
  name: 'sync-write',
  text: `WITH clock AS (
    UPDATE sync_versions SET head = head + $2 WHERE tenant_id = $1 RETURNING head - $2 AS base
  ), change AS MATERIALIZED (
    SELECT * FROM json_to_recordset($3) AS c(ord int, idx int, collection text, id text, partition text, prev text,
      data jsonb, bytes int, mark bigint, principal text, client_id uuid, seq bigint, fate text, expected bigint,
      base int, touched json)
  ), added AS (
    INSERT INTO records (tenant_id, collection, id, partition, version, data, bytes, base_version, field_versions)
    SELECT $1, collection, id, partition, clock.base + ord, data, bytes, clock.base + c.base, ${FIELD_VERSIONS}
    FROM change c, clock WHERE fate = 'put' AND expected IS NULL
    ON CONFLICT (tenant_id, collection, id) DO NOTHING
    RETURNING 1
  ), replaced AS (
    UPDATE records r SET
      partition = c.partition, version = clock.base + c.ord, prev_version = c.expected, data = c.data, bytes = c.bytes,
      base_version = coalesce(clock.base + c.base, r.base_version),
      field_versions = CASE WHEN c.base IS NULL THEN r.field_versions ELSE '{}' END || ${FIELD_VERSIONS}
    FROM clock, (SELECT change.*, found.ctid AS place FROM change, LATERAL (SELECT k.ctid FROM records k
        WHERE k.tenant_id = $1 AND k.collection = change.collection AND k.id = change.id LIMIT 1) found
      WHERE fate = 'put' AND expected IS NOT NULL) c
    WHERE r.ctid = c.place AND r.version = c.expected
    RETURNING 1
  ), gone AS (
    DELETE FROM records WHERE ctid = ANY (ARRAY(
      SELECT found.ctid FROM change c, LATERAL (SELECT r.ctid FROM records r
        WHERE r.tenant_id = $1 AND r.collection = c.collection AND r.id = c.id AND r.version = c.expected LIMIT 1) found
      WHERE c.fate = 'gone')) RETURNING 1
  ), logged AS (
    INSERT INTO changes (tenant_id, version, idx, collection, record_id, op, partition, prev_partition, data, bytes, at,
      mark, principal, client_id, seq)
    SELECT $1, clock.base + ord, idx, collection, id, CASE WHEN data IS NULL THEN 'delete' ELSE 'put' END, partition,
      prev, data, bytes, $4, mark, principal, client_id, seq
    FROM change, clock
  ), batch AS MATERIALIZED (
    SELECT *, clock.base + ord AS version FROM clock, json_to_recordset($5) AS b(ord int, client_id uuid, incarnation text,
      seq bigint, batch_id uuid, hash text, results json, principal text, code text, ip text, mutations int, refused int)
  ), stored AS (
    INSERT INTO sync_batches (tenant_id, batch_id, client_id, incarnation, seq, hash, version, results)
    SELECT $1, batch_id, client_id, incarnation, seq, decode(hash, 'hex'), version, results FROM batch
  ), audited AS (
    INSERT INTO audit_logs (tenant_id, action, principal, success, code, ip, details)
    SELECT $1, 'sync.push', principal, code IS NULL, code, ip, jsonb_strip_nulls(jsonb_build_object('clientId', client_id,
      'seq', seq, 'batchId', batch_id, 'mutations', mutations, 'refused', refused, 'version', version)) FROM batch
  ), advanced AS (
    INSERT INTO sync_clients (tenant_id, client_id, incarnation, principal, last_seq, last_group)
    SELECT $1, client_id, incarnation, principal, last, count FROM json_to_recordset($6)
      AS p(client_id uuid, incarnation text, principal text, last bigint, count int)
    ON CONFLICT (tenant_id, client_id, incarnation) DO UPDATE SET
      last_seq = excluded.last_seq, last_group = excluded.last_group, last_seen_at = $4
    WHERE sync_clients.last_seq = excluded.last_seq - excluded.last_group
    RETURNING 1
  ) SELECT base FROM clock WHERE sync_require(
      (SELECT count(*) FROM added) + (SELECT count(*) FROM replaced) + (SELECT count(*) FROM gone) = $7 AND (SELECT count(*) FROM advanced) = $8)`,
};

const WRITE_COUNTERS = {
  name: 'sync-write-counters',
  text: `INSERT INTO partition_counters (tenant_id, collection, partition, last)
         SELECT $1, split_part(key, '/', 1), substr(key, strpos(key, '/') + 1), value::bigint FROM json_each_text($2)
         ON CONFLICT (tenant_id, collection, partition) DO UPDATE SET last = excluded.last`,
};

/** What a group writes: its new batches, and the installations whose sequence it moves on. */
export interface GroupToWrite {
  batches: readonly DecidedBatch[];
  advances: readonly Advance[];
  records: WorkingSet;
}

/** An installation's step in a group: `count` batches, up to `last`. */
export interface Advance {
  submission: Submission;
  last: number;
  count: number;
}

/**
 * Writes a group. On a pool that commits it; inside a transaction the caller does. Fails with SQLSTATE 40001 when what the
 * group was judged on has changed, and with 23505 when one of its batchIds has been used.
 */
export async function writeGroup(
  connection: Connection,
  tenantId: number,
  { batches, advances, records }: GroupToWrite,
): Promise<CommittedGroup & { rows: readonly ChangeRow[] }> {
  const at = new Date().toISOString();
  const { rows, records: touched } = toChangeRows(batches);
  const numbers = records.numbers();
  if (numbers.size > 0) {
    const counts = JSON.stringify(Object.fromEntries(numbers));
    await connection.query({ ...WRITE_COUNTERS, values: [tenantId, counts] });
  }
  const { versions } = records;
  const values = [
    tenantId,
    versions,
    `[${rows.map(changeJson).join(',')}]`,
    at,
    `[${batches.map(batchJson).join(',')}]`,
    JSON.stringify(advances.map(advanceRow)),
    touched,
    advances.length,
  ];
  const { rows: clock } = await connection.query<{ base: number }>({ ...WRITE, values });
  const base = clock[0]?.base;
  if (base === undefined) throw new Error(`tenant ${tenantId} has no clock`);
  return { ...toCommitted({ base, versions, at, rows }), rows };
}

function advanceRow({ submission, last, count }: Advance): Record<string, unknown> {
  const { clientId, incarnation, principalKey } = submission;
  return { client_id: clientId, incarnation, principal: principalKey, last, count };
}

function toCommitted(written: {
  base: number;
  versions: number;
  at: string;
  rows: ChangeRow[];
}): CommittedGroup {
  const { base, versions, at, rows } = written;
  return {
    from: base,
    to: base + versions,
    mark: rows.at(-1)?.mark ?? 0,
    changes: rows.map((row) => toLogged(row, base, at)),
  };
}
