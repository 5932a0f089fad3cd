import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import type { BareMutation } from './bare.ts';
import { createIo } from '../server/io.ts';
import type { Side } from './side.ts';

/**
 * The bare prototype of the gateway's own path: the same Socket.IO settings and the group commit as the design first drew it
 * (lock the installations, lock and load the records, write, clock last, commit), with what makes a push *once* (seq,
 * batchId, hash, stored result) and nothing else: no authentication, validation, rights, conflicts, partitions or audit.
 */

interface Batch {
  seq: number;
  batchId: string;
  mutations: BareMutation[];
}

interface Waiting {
  clientId: string;
  batch: Batch;
  ack: (answer: unknown) => void;
}

export const PROTOTYPE_TABLES = [
  `CREATE TABLE proto_clock (tenant_id integer PRIMARY KEY, head bigint NOT NULL) WITH (fillfactor = 10)`,
  `INSERT INTO proto_clock VALUES (1, 0)`,
  `CREATE TABLE proto_clients (tenant_id integer, client_id text, last_seq bigint NOT NULL, PRIMARY KEY (tenant_id, client_id))`,
  `CREATE TABLE proto_batches (tenant_id integer, client_id text, seq bigint, batch_id uuid NOT NULL, hash bytea NOT NULL,
     version bigint NOT NULL, results json NOT NULL, PRIMARY KEY (tenant_id, client_id, seq), UNIQUE (tenant_id, batch_id))`,
  `CREATE TABLE proto_records (tenant_id integer, collection text, id text, partition text NOT NULL,
     version bigint NOT NULL, data jsonb NOT NULL, PRIMARY KEY (tenant_id, collection, id))`,
  `CREATE TABLE proto_changes (tenant_id integer, version bigint, idx integer, collection text NOT NULL,
     record_id text NOT NULL, partition text NOT NULL, data jsonb NOT NULL, client_id text NOT NULL, seq bigint NOT NULL,
     PRIMARY KEY (tenant_id, version, idx))`,
];

const LOCK_CLIENTS = {
  name: 'proto-clients',
  text: `SELECT found.* FROM unnest($1::text[]) AS wanted(client_id), LATERAL (
    SELECT client_id, last_seq FROM proto_clients c WHERE c.tenant_id = 1 AND c.client_id = wanted.client_id FOR UPDATE) found`,
};
const LOCK_RECORDS = {
  name: 'proto-records',
  text: `SELECT found.* FROM unnest($1::text[], $2::text[]) AS wanted(collection, id), LATERAL (
    SELECT collection, id, version FROM proto_records r
    WHERE r.tenant_id = 1 AND r.collection = wanted.collection AND r.id = wanted.id FOR UPDATE) found`,
};
const WRITE = {
  name: 'proto-write',
  text: `WITH clock AS (
    UPDATE proto_clock SET head = head + $1 WHERE tenant_id = 1 RETURNING head - $1 AS base
  ), change AS MATERIALIZED (
    SELECT * FROM json_to_recordset($2) AS c(ord int, idx int, collection text, id text, partition text, data jsonb,
      client_id text, seq bigint)
  ), put AS (
    INSERT INTO proto_records SELECT 1, collection, id, partition, base + ord, data FROM change, clock
    ON CONFLICT (tenant_id, collection, id) DO UPDATE SET version = excluded.version, data = excluded.data
  ), logged AS (
    INSERT INTO proto_changes SELECT 1, base + ord, idx, collection, id, partition, data, client_id, seq FROM change, clock
  ), stored AS (
    INSERT INTO proto_batches SELECT 1, client_id, seq, batch_id, decode(hash, 'hex'), base + ord, results
    FROM clock, json_to_recordset($3) AS b(ord int, client_id text, seq bigint, batch_id uuid, hash text, results json)
  ), advanced AS (
    INSERT INTO proto_clients SELECT 1, client_id, max(seq) FROM json_to_recordset($3) AS b(client_id text, seq bigint)
    GROUP BY client_id
    ON CONFLICT (tenant_id, client_id) DO UPDATE SET last_seq = excluded.last_seq
  ) SELECT base FROM clock`,
};

const GROUP_ITEMS = 200;

export async function startPrototype(databaseUrl: string): Promise<Side> {
  const options = '-c synchronous_commit=on -c jit=off -c enable_seqscan=off';
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, options });
  const http = createServer();
  const io = createIo(http, () => true);
  const queue: Waiting[] = [];
  let isRunning = false;
  const drain = async (): Promise<void> => {
    while (queue.length > 0) await commit(pool, queue.splice(0, GROUP_ITEMS));
    isRunning = false;
  };
  io.of('/sync').on('connection', (socket) => {
    socket.on('push', (batch: Batch, ack: Waiting['ack']) => {
      queue.push({ clientId: socket.id, batch, ack });
      if (isRunning) return;
      isRunning = true;
      queueMicrotask(() => void drain());
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    issueTokens: (count) => Promise.resolve(Array.from({ length: count }, () => 'none')),
    registerClients: () => Promise.resolve([]),
    createPeople: () => Promise.resolve([]),
    async close() {
      await io.close();
      await pool.end();
    },
  };
}

async function commit(pool: pg.Pool, group: readonly Waiting[]): Promise<void> {
  const tx = await pool.connect();
  try {
    await tx.query('BEGIN');
    const clients = [...new Set(group.map(({ clientId }) => clientId))].sort();
    const { rows } = await tx.query<{ client_id: string; last_seq: string }>({
      ...LOCK_CLIENTS,
      values: [clients],
    });
    const last = new Map(rows.map((row) => [row.client_id, Number(row.last_seq)]));
    const fresh = group.filter(({ clientId, batch }) => takeSeq(last, clientId, batch.seq));
    const records = fresh.flatMap(({ batch }) => batch.mutations);
    const keys = [records.map((record) => record.collection), records.map((record) => record.id)];
    await tx.query({ ...LOCK_RECORDS, values: keys });
    const values = [fresh.length, JSON.stringify(toChanges(fresh)), JSON.stringify(fresh.map(toStored))];
    const { rows: clock } = await tx.query<{ base: string }>({ ...WRITE, values });
    await tx.query('COMMIT');
    const base = Number(clock[0]?.base ?? 0);
    fresh.forEach(({ ack, batch }, i) => ack({ ok: true, seq: batch.seq, version: base + i + 1 }));
  } finally {
    tx.release();
  }
}

function takeSeq(last: Map<string, number>, clientId: string, seq: number): boolean {
  if (seq !== (last.get(clientId) ?? 0) + 1) return false;
  last.set(clientId, seq);
  return true;
}

function toChanges(group: readonly Waiting[]): unknown[] {
  return group.flatMap(({ clientId, batch }, i) =>
    batch.mutations.map(({ collection, id, partition, data }, idx) => ({
      ...{ ord: i + 1, idx, collection, id, partition, data },
      ...{ client_id: clientId, seq: batch.seq },
    })),
  );
}

function toStored({ clientId, batch }: Waiting, i: number): unknown {
  const { seq, batchId, mutations } = batch;
  const hash = createHash('sha256').update(JSON.stringify(mutations)).digest('hex');
  const results = mutations.map(() => ({ status: 'applied' }));
  return { ord: i + 1, client_id: clientId, seq, batch_id: batchId, hash, results };
}
