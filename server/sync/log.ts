import type { ChangeRow } from '../../entities/change.ts';
import type { SnapshotRecord } from '../../protocol/sync.ts';
import type { Sql } from '../db.ts';
import type { LoggedChange } from './rows.ts';
import type { Position } from './cursor.ts';
import type { Scope } from './scope.ts';

/** What the delivery path reads: the clock, pages of the log, pages of the records. */

export interface Clock extends Position {
  epoch: string;
  floor: number;
}

/** Reads the tenant's clock and the mark of its newest version, in one statement. */
export async function readClock(sql: Sql, tenantId: number): Promise<Clock | undefined> {
  const [row] = await sql<{ head: number; epoch: string; floor: number; mark: number | null }>(
    `SELECT v.head, v.epoch, v.floor,
            (SELECT mark FROM changes c WHERE c.tenant_id = v.tenant_id AND c.version = v.head LIMIT 1) AS mark
     FROM sync_versions v WHERE v.tenant_id = $1`,
    [tenantId],
  );
  return row && { version: row.head, mark: row.mark ?? 0, epoch: row.epoch, floor: row.floor };
}

/** A tenant's clock, and the mark its log has at the version that was asked about. */
export interface Head {
  head: number;
  epoch: string;
  mark: number;
}

/** Reads the heads of many tenants, for the poll that bounds what a lost hint can cost. */
export async function readHeads(
  sql: Sql,
  stands: readonly { tenantId: number; version: number }[],
): Promise<Map<number, Head>> {
  const rows = await sql<{ tenant_id: number; head: number; epoch: string; mark: number | null }>(
    `SELECT v.tenant_id, v.head, v.epoch,
            (SELECT mark FROM changes c WHERE c.tenant_id = v.tenant_id AND c.version = s.version LIMIT 1) AS mark
     FROM unnest($1::integer[], $2::bigint[]) AS s (tenant_id, version)
     JOIN sync_versions v ON v.tenant_id = s.tenant_id`,
    [stands.map(({ tenantId }) => tenantId), stands.map(({ version }) => version)],
  );
  return new Map(rows.map(({ tenant_id, mark, ...row }) => [tenant_id, { ...row, mark: mark ?? 0 }]));
}

/** The mark of one version in the log; undefined when the log does not have it. */
export async function findMark(sql: Sql, tenantId: number, version: number): Promise<number | undefined> {
  const [row] = await sql<{ mark: number }>(
    'SELECT mark FROM changes WHERE tenant_id = $1 AND version = $2 LIMIT 1',
    [tenantId, version],
  );
  return row?.mark;
}

/** A contiguous piece of the log: every change of the versions behind `after` up to `to`. */
export interface LogPage extends Position {
  changes: LoggedChange[];
  /** The mark of `after`: with another one the page does not go on from there, but in another history. */
  afterMark: number;
}

/** Rows looked at to find where a page ends; it always ends between two versions. */
const PAGE_ROWS = 6_000;
const PAGE_BYTES = 768 * 1024;

type LogRow = Omit<ChangeRow, 'tenant_id'> & { after_mark: number | null };

/**
 * Reads the log behind a version: whole versions, about `PAGE_BYTES` of them. Because versions become visible in
 * order, what this finds is complete up to its last version.
 */
export async function readLogPage(
  sql: Sql,
  tenantId: number,
  after: number,
  upTo = Number.MAX_SAFE_INTEGER,
): Promise<LogPage | undefined> {
  const rows = await sql<LogRow>(
    `WITH near AS (
       SELECT version, bytes FROM changes WHERE tenant_id = $1 AND version > $2 AND version <= $5
       ORDER BY version, idx LIMIT $3
     ), sums AS (
       SELECT version, sum(sum(bytes + 150)) OVER (ORDER BY version) - sum(bytes + 150) AS before
       FROM near GROUP BY version
     )
     SELECT version, idx, collection, record_id, op, partition, prev_partition, data, bytes, at, mark, principal,
            client_id, seq,
            (SELECT mark FROM changes WHERE tenant_id = $1 AND version = $2 LIMIT 1) AS after_mark
     FROM changes
     WHERE tenant_id = $1 AND version > $2 AND version <= (SELECT max(version) FROM sums WHERE before < $4)
     ORDER BY version, idx`,
    [tenantId, after, PAGE_ROWS, PAGE_BYTES, upTo],
  );
  const last = rows.at(-1);
  if (!last) return undefined;
  const { version, mark, after_mark: afterMark } = last;
  return { version, mark, afterMark: afterMark ?? 0, changes: rows.map(toLoggedChange) };
}

function toLoggedChange(row: LogRow): LoggedChange {
  return {
    version: row.version,
    index: row.idx,
    collection: row.collection,
    id: row.record_id,
    op: row.op,
    partition: row.partition,
    prevPartition: row.prev_partition,
    ...(row.data ? { data: row.data } : {}),
    recordVersion: row.version,
    at: row.at.toISOString(),
    by: {
      principal: row.principal,
      ...(row.client_id === null ? {} : { clientId: row.client_id }),
      ...(row.seq === null ? {} : { seq: row.seq }),
    },
    mark: row.mark,
    bytes: row.bytes,
  };
}

/** A place in the order of a snapshot: collection, then id. */
export interface SnapshotPlace {
  collection: string;
  id: string;
}

/** A page ends with the record that takes it over this, so that large records make short pages, not large ones. */
const SNAPSHOT_PAGE_BYTES = 512 * 1024;

/** Reads the next records of a scope's snapshot, in (collection, id) order; an empty page ends it. */
export async function readSnapshotPage(
  sql: Sql,
  tenantId: number,
  scope: Scope,
  page: { after: SnapshotPlace; limit: number },
): Promise<SnapshotRecord[]> {
  const names = [...scope.collections.keys()].sort().filter((name) => name >= page.after.collection);
  for (const name of names) {
    const partitions = scope.collections.get(name);
    const after = name === page.after.collection ? page.after.id : '';
    const rows = await sql<{ id: string; partition: string; version: number; data: Record<string, unknown> }>(
      `SELECT id, partition, version, data FROM (
         SELECT id, partition, version, data,
                sum(octet_length(data::text)) OVER (ORDER BY id) - octet_length(data::text) AS before
         FROM (SELECT id, partition, version, data FROM records
               WHERE tenant_id = $1 AND collection = $2 AND id > $3 ${partitions ? 'AND partition = ANY($6)' : ''}
               ORDER BY id LIMIT $4) near
       ) page WHERE before < $5 ORDER BY id`,
      [tenantId, name, after, page.limit, SNAPSHOT_PAGE_BYTES, ...(partitions ? [[...partitions]] : [])],
    );
    if (rows.length > 0) {
      return rows.map((row) => ({
        collection: name,
        id: row.id,
        partition: row.partition,
        data: row.data,
        recordVersion: row.version,
      }));
    }
  }
  return [];
}
