import type pg from 'pg';
import type { Mutation, MutationResult } from '../../protocol/sync.ts';
import type { Submission } from './submission.ts';
import { keyOf } from './working-set.ts';
import type { WorkingRecord } from './working-set.ts';

/**
 * What a commit group reads before it is judged. Usually nothing is locked: the write names the versions it was judged on
 * and is undone when they are no longer true. `locked` is for the group that has lost such a race (docs/adr/0010).
 */

/** A pool, where each statement is its own transaction, or one connection inside a transaction. */
export type Connection = Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>;

/** Where an installation's sequence stands. */
export interface ClientPosition {
  lastSeq: number;
  principal: string;
}

export function clientKey(client: { clientId: string; incarnation: string }): string {
  return `${client.clientId}/${client.incarnation}`;
}

/**
 * Each row is fetched on its own, by its whole key, in the order of the arrays: as a join the planner, which prepares
 * this while it believes the tables small, would read the whole tenant for every group.
 */
const CLIENTS = (
  lock: string,
): string => `SELECT found.* FROM unnest($2::uuid[], $3::text[]) AS wanted(client_id, incarnation), LATERAL (
  SELECT client_id, incarnation, last_seq, principal FROM sync_clients s
  WHERE s.tenant_id = $1 AND s.client_id = wanted.client_id AND s.incarnation = wanted.incarnation ${lock}) AS found`;

/** What one group may load, in characters of JSON: a few large records must not become a large process. */
const MOST_LOADED = 16 * 1024 * 1024;

/** The group's records are too large to be held at once: it is to be halved. */
export class TooMuchAtOnce extends Error {}

const RECORDS = (
  lock: string,
): string => `SELECT found.collection, found.id, found.partition, found.version, found.base_version, found.field_versions, found.bytes,
    CASE WHEN sum(found.bytes) OVER (ROWS UNBOUNDED PRECEDING) <= ${MOST_LOADED} THEN found.data END AS data
  FROM unnest($2::text[], $3::text[]) AS wanted(collection, id), LATERAL (
  SELECT collection, id, partition, version, base_version, field_versions, data, bytes FROM records r
  WHERE r.tenant_id = $1 AND r.collection = wanted.collection AND r.id = wanted.id ${lock}) AS found`;

const STATEMENTS = {
  clients: { name: 'sync-clients', text: CLIENTS('') },
  lockedClients: { name: 'sync-lock-clients', text: CLIENTS('FOR NO KEY UPDATE') },
  records: { name: 'sync-records', text: RECORDS('') },
  lockedRecords: { name: 'sync-lock-records', text: RECORDS('FOR NO KEY UPDATE') },
  // the rows exist before they are locked, or the first two writers of a partition would both give the number 1
  addCounters: {
    name: 'sync-add-counters',
    text: `INSERT INTO partition_counters (tenant_id, collection, partition, last)
           SELECT DISTINCT $1::integer, w.collection, w.partition, 0 FROM unnest($2::text[], $3::text[]) AS w(collection, partition)
           WHERE NOT EXISTS (SELECT FROM partition_counters c
             WHERE c.tenant_id = $1 AND c.collection = w.collection AND c.partition = w.partition)
           ORDER BY 2, 3 ON CONFLICT DO NOTHING`,
  },
  lockCounters: {
    name: 'sync-lock-counters',
    text: `SELECT collection, partition, last FROM partition_counters
           WHERE tenant_id = $1 AND collection = ANY($2) AND partition = ANY($3)
           ORDER BY collection, partition FOR NO KEY UPDATE`,
  },
  stored: {
    name: 'sync-stored-results',
    text: `SELECT batch_id, client_id, hash, version, results FROM sync_batches
           WHERE tenant_id = $1 AND batch_id = ANY($2::uuid[])`,
  },
};

/** Loads where installations stand. Maps `clientKey` to the position; an unknown one is left out. */
export async function loadClients(
  connection: Connection,
  tenantId: number,
  submissions: readonly Submission[],
  locked: boolean,
): Promise<Map<string, ClientPosition>> {
  if (submissions.length === 0) return new Map();
  const wanted = inKeyOrder(new Map(submissions.map((submission) => [clientKey(submission), submission])));
  const { rows } = await connection.query<{
    client_id: string;
    incarnation: string;
    last_seq: number;
    principal: string;
  }>({
    ...(locked ? STATEMENTS.lockedClients : STATEMENTS.clients),
    values: [tenantId, wanted.map((s) => s.clientId), wanted.map((s) => s.incarnation)],
  });
  return new Map(
    rows.map((row) => [
      clientKey({ clientId: row.client_id, incarnation: row.incarnation }),
      { lastSeq: row.last_seq, principal: row.principal },
    ]),
  );
}

interface LoadedRecord {
  collection: string;
  id: string;
  partition: string;
  version: number;
  base_version: number;
  field_versions: Record<string, number>;
  bytes: number;
  /** null beyond `MOST_LOADED`. */
  data: Record<string, unknown> | null;
}

/** Loads every record the mutations name. Throws TooMuchAtOnce. */
export async function loadRecords(
  connection: Connection,
  tenantId: number,
  mutations: readonly Mutation[],
  locked: boolean,
): Promise<[string, WorkingRecord][]> {
  if (mutations.length === 0) return [];
  const keyed = new Map(mutations.map((mutation) => [keyOf(mutation), mutation]));
  const wanted = locked ? inKeyOrder(keyed) : [...keyed.values()];
  const { rows } = await connection.query<LoadedRecord>({
    ...(locked ? STATEMENTS.lockedRecords : STATEMENTS.records),
    values: [tenantId, wanted.map((m) => m.collection), wanted.map((m) => m.id)],
  });
  return rows.map((row) => {
    const { partition, version, base_version: baseVersion, field_versions: fieldVersions, bytes, data } = row;
    if (data === null) throw new TooMuchAtOnce();
    return [keyOf(row), { partition, version, baseVersion, fieldVersions, data, size: bytes }];
  });
}

/** Locks and loads the counters of the numbered partitions among the mutations; only inside a transaction. */
export async function lockCounters(
  connection: Connection,
  tenantId: number,
  numbered: readonly Mutation[],
): Promise<[string, number][]> {
  const counted = numbered.filter((mutation) => mutation.partition !== undefined);
  if (counted.length === 0) return [];
  const values = [tenantId, counted.map((m) => m.collection), counted.map((m) => m.partition)];
  await connection.query({ ...STATEMENTS.addCounters, values });
  const { rows } = await connection.query<{ collection: string; partition: string; last: number }>({
    ...STATEMENTS.lockCounters,
    values,
  });
  return rows.map((row) => [`${row.collection}/${row.partition}`, row.last]);
}

/** What was answered to a batch when it was judged. */
export interface StoredResult {
  batch_id: string;
  client_id: string | null;
  hash: Buffer;
  version: number | null;
  results: MutationResult[];
}

/** Finds the stored results of batches that were judged before, by batchId. */
export async function findStored(
  connection: Connection,
  tenantId: number,
  submissions: readonly Submission[],
): Promise<Map<string, StoredResult>> {
  if (submissions.length === 0) return new Map();
  const values = [tenantId, submissions.map(({ push }) => push.batchId)];
  const { rows } = await connection.query<StoredResult>({ ...STATEMENTS.stored, values });
  return new Map(rows.map((row) => [row.batch_id, row]));
}

/** The same order on every node, so that two groups never wait for each other in a circle. */
function inKeyOrder<T>(keyed: ReadonlyMap<string, T>): T[] {
  return [...keyed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
