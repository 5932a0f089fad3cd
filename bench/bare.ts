import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { createIo } from '../server/io.ts';
import { serveBareTokens } from './bare-tokens.ts';
import type { Side } from './side.ts';

/**
 * The reference: what somebody would write who wants nothing but speed. The same Socket.IO settings; it parses nothing,
 * validates nothing, knows no caller, no conflicts, no replay and no audit. It does group what waits and commit it
 * durably, in one statement on one connection, because without that the comparison would flatter Sluice.
 */

export interface BareMutation {
  id: string;
  collection: string;
  partition: string;
  data: unknown;
}

interface Waiting {
  mutations: BareMutation[];
  ack: (answer: { ok: true; version: number }) => void;
}

type Ack<T> = (answer: T) => void;

export const BARE_TABLES = [
  `CREATE TABLE bare_clock (tenant_id integer PRIMARY KEY, head bigint NOT NULL) WITH (fillfactor = 10)`,
  `INSERT INTO bare_clock VALUES (1, 0)`,
  `CREATE TABLE bare_records (tenant_id integer, collection text, id text, partition text NOT NULL,
     version bigint NOT NULL, data jsonb NOT NULL, PRIMARY KEY (tenant_id, collection, id))`,
  `CREATE TABLE bare_changes (tenant_id integer, version bigint, idx integer, collection text NOT NULL,
     record_id text NOT NULL, partition text NOT NULL, data jsonb NOT NULL, PRIMARY KEY (tenant_id, version, idx))`,
];

/** One group in one statement, which is one transaction: records, changes, clock. */
const BARE_WRITE = {
  name: 'bare-write',
  text: `WITH clock AS (
    UPDATE bare_clock SET head = head + $1 WHERE tenant_id = 1 RETURNING head - $1 AS base
  ), change AS MATERIALIZED (
    SELECT * FROM json_to_recordset($2) AS c(ord int, idx int, collection text, id text, partition text, data jsonb)
  ), inserted AS (
    INSERT INTO bare_records SELECT 1, collection, id, partition, base + ord, data FROM change, clock
  ), logged AS (
    INSERT INTO bare_changes SELECT 1, base + ord, idx, collection, id, partition, data FROM change, clock
  ) SELECT base FROM clock`,
};

/** At most what the gateway takes into one group. */
const GROUP_ITEMS = 200;

export async function startBare(databaseUrl: string): Promise<Side> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 4,
    options: '-c synchronous_commit=on -c jit=off',
  });
  const http = createServer();
  const tokens = await serveBareTokens(http, pool);
  const io = createIo(http, () => true);
  const namespace = io.of('/sync');
  const write = createGroupWriter(pool);
  namespace.on('connection', (socket) => {
    socket.on('join', (_body: unknown, ack: Ack<{ ok: true }>) => {
      void socket.join('all');
      ack({ ok: true });
    });
    socket.on('push', (body: { mutations: BareMutation[] }, ack: Waiting['ack']) =>
      write({ mutations: body.mutations, ack }),
    );
    socket.on('publish', (frame: unknown, ack: Ack<{ ok: true }>) => {
      namespace.to('all').emit('sync:delta', frame);
      ack({ ok: true });
    });
    socket.on('snapshot', (collection: string, ack: Ack<{ ok: true }>) => {
      void sendSnapshot(pool, collection, (records) => socket.emitWithAck('page', { records })).then(() =>
        ack({ ok: true }),
      );
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    issueTokens: (count) => Promise.resolve(Array.from({ length: count }, () => 'none')),
    registerClients: (count) => tokens.registerClients(count),
    createPeople: () => Promise.resolve([]),
    async close() {
      await io.close();
      await pool.end();
    },
  };
}

function createGroupWriter(pool: pg.Pool): (waiting: Waiting) => void {
  const queue: Waiting[] = [];
  let running = false;
  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const group = queue.splice(0, GROUP_ITEMS);
      const base = await writeBareGroup(
        pool,
        group.map(({ mutations }) => mutations),
      );
      group.forEach(({ ack }, i) => ack({ ok: true, version: base + i + 1 }));
    }
    running = false;
  };
  return (waiting) => {
    queue.push(waiting);
    if (running) return;
    running = true;
    queueMicrotask(() => void drain());
  };
}

/** Commits a group of batches in one statement; batch i gets the returned version + i + 1. */
export async function writeBareGroup(
  pool: pg.Pool | pg.Client,
  group: readonly BareMutation[][],
): Promise<number> {
  const rows = group.flatMap((mutations, i) =>
    mutations.map(({ collection, id, partition, data }, idx) => ({
      ord: i + 1,
      idx,
      collection,
      id,
      partition,
      data,
    })),
  );
  const result = await pool.query<{ base: string }>({
    ...BARE_WRITE,
    values: [group.length, JSON.stringify(rows)],
  });
  return Number(result.rows[0]?.base ?? 0);
}

const SNAPSHOT_ROWS = 1_500;

/** Pages through the gateway's own records, one page on the way at a time. */
async function sendSnapshot(
  pool: pg.Pool,
  collection: string,
  send: (records: unknown[]) => Promise<unknown>,
): Promise<void> {
  let after = '';
  for (;;) {
    const { rows } = await pool.query<{ id: string }>(
      `SELECT collection, id, partition, data, version AS "recordVersion" FROM records
       WHERE tenant_id = 1 AND collection = $1 AND id > $2 ORDER BY id LIMIT $3`,
      [collection, after, SNAPSHOT_ROWS],
    );
    const last = rows.at(-1);
    if (!last) return;
    after = last.id;
    await send(rows);
  }
}
