import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { io as connect } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { AppError } from '../../protocol/errors.ts';
import type {
  Delta,
  HelloAck,
  HelloReply,
  Mutation,
  PushAck,
  Snapshot,
  Subscription,
} from '../../protocol/sync.ts';
import { createSocketRegistry } from '../../server/auth/live-sockets.ts';
import type { SocketRegistry } from '../../server/auth/live-sockets.ts';
import { parseGrants } from '../../server/auth/principal.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { openDatabase } from '../../server/db.ts';
import type { Database } from '../../server/db.ts';
import { createLocalHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { drain } from '../../server/sockets/drain.ts';
import { createIo } from '../../server/io.ts';
import { createLogger } from '../../server/log.ts';
import { createMetrics } from '../../server/metrics.ts';
import { serveSync } from '../../server/socket.ts';
import type { SocketDeps } from '../../server/sockets/connection.ts';
import { createDoor } from '../../server/sockets/door.ts';
import type { Doorkeeper } from '../../server/sockets/guards.ts';
import { watchStalls } from '../../server/sockets/stall-watch.ts';
import { createSync } from '../../server/sync/sync.ts';
import type { Sync, SyncDeps } from '../../server/sync/sync.ts';
import { createDatabase } from './database.ts';

/** The sync core on a real socket and a real database, with tokens made up by the test instead of identity. */
export interface SyncGateway {
  url: string;
  db: Database;
  databaseUrl: string;
  sync: Sync;
  hints: Hints;
  /** The open sockets, by the sessions the test made up. */
  sockets: SocketRegistry;
  /** What SIGTERM does first: verdicts, then the sockets are sent away. `close` is still to come. */
  drain(verdictsMs?: number): Promise<void>;
  close(): Promise<void>;
}

export interface GatewayOptions extends Partial<Pick<SyncDeps, 'afterCommit' | 'poll' | 'hints' | 'idleMs'>> {
  databaseUrl?: string;
  port?: number;
  /** What the made-up identity does otherwise. */
  identity?: Partial<Doorkeeper>;
  presence?: SocketDeps['presence'];
}

export async function startSyncGateway(options: GatewayOptions = {}): Promise<SyncGateway> {
  const databaseUrl = options.databaseUrl ?? (await createDatabase());
  const db = await openDatabase({ url: databaseUrl, migrate: false });
  const hints = options.hints ?? createLocalHints();
  const log = createLogger('silent');
  const http = createServer();
  const io = createIo(http, () => true);
  const sync = createSync({
    db,
    hints,
    log,
    afterCommit: options.afterCommit,
    poll: options.poll,
    idleMs: options.idleMs,
    emitToRoom: (room, frame) => void io.of('/sync').local.to(room).emit('sync:delta', frame),
  });
  const metrics = createMetrics();
  const sockets = createSocketRegistry(() => false);
  const identity = { ...createTestDoorkeeper(sockets), ...options.identity };
  const door = createDoor();
  const { presence } = options;
  const shown = presence ? { presence } : {};
  const syncSockets = serveSync(io, { identity, sync, log, metrics, door, trustProxy: false, ...shown });
  const stopWatch = watchStalls(io, () => metrics.slowConsumers.inc(), 200);
  await new Promise<void>((resolve) => http.listen(options.port ?? 0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    db,
    databaseUrl,
    sync,
    hints,
    sockets,
    drain: (verdictsMs) => drain({ http, io, sync, door, namespaces: [syncSockets], verdictsMs }),
    async close() {
      stopWatch();
      await sync.close();
      await io.close();
      await hints.close();
      await db.close();
    },
  };
}

/** Adds a tenant with a clock of its own. Returns its id. */
export async function addTenant(db: Database): Promise<number> {
  const [row] = await db.sql<{ id: number }>(`INSERT INTO tenants (name) VALUES ('another') RETURNING id`);
  await db.sql('INSERT INTO sync_versions (tenant_id, epoch) VALUES ($1, gen_random_uuid())', [row?.id]);
  return row?.id ?? 0;
}

/** A token is the principal itself: who it names is who comes in. */
export interface TestToken {
  id?: string;
  /** Left out: the principal's only one. */
  session?: string;
  tenantId?: number;
  partitions?: string[];
  scopes?: string[];
  ttlMs?: number;
}

export function tokenFor(token: TestToken = {}): string {
  return JSON.stringify({ id: randomUUID(), ...token });
}

function createTestDoorkeeper(sockets: SocketRegistry): Doorkeeper {
  return {
    authenticate: (text) => Promise.resolve(toPrincipal(text)),
    current: (principal) => Promise.resolve(principal),
    sockets,
  };
}

export function toPrincipal(text: string): Principal {
  let token: TestToken;
  try {
    token = JSON.parse(text) as TestToken;
  } catch {
    throw new AppError('invalid_token');
  }
  return {
    tenantId: token.tenantId ?? 1,
    kind: 'client',
    id: token.id ?? '',
    name: 'test',
    sessionId: token.session ?? token.id ?? '',
    scopes: new Set(token.scopes ?? ['sync:read', 'sync:write']),
    grants: parseGrants(token.partitions ?? ['*']),
    expiresAt: Date.now() + (token.ttlMs ?? 900_000),
  };
}

/** A client written from CONTRACT.md alone: no SDK, so that a fault of the SDK cannot hide one of the gateway. */
export interface WireClient {
  socket: Socket;
  clientId: string;
  incarnation: string;
  deltas: Delta[];
  snapshots: Snapshot[];
  /** Where it stands, and the records it has: applied with the gap check of docs/PROTOCOL.md. */
  cursor: string | null;
  /** Token of the last page it stored, while the snapshot is under way. */
  page: string | null;
  records: Map<string, { data: unknown; version: number }>;
  /** Every change it applied: `version.index`, in order. */
  applied: string[];
  faults: string[];
  nextSeq: number;
  hello(options?: HelloOptions): Promise<HelloReply>;
  request<T = unknown>(event: string, body: unknown): Promise<T>;
  push(
    mutations: Mutation[],
    options?: { seq?: number; batchId?: string; atomic?: boolean },
  ): Promise<PushAck>;
  close(): void;
}

export interface HelloOptions {
  subscribe?: Subscription[];
  cursor?: string | null;
  limits?: { batchMutations: number };
}

export interface WireOptions {
  token?: string;
  clientId?: string;
  incarnation?: string;
  /** Acknowledge frames as they come (left out: yes). */
  acks?: boolean;
  /** The known-bad variant: take any frame, whatever its `from`. */
  noGapCheck?: boolean;
}

export async function connectWire(url: string, options: WireOptions = {}): Promise<WireClient> {
  const socket = connect(`${url}/sync`, {
    transports: ['websocket'],
    reconnection: false,
    forceNew: true,
    auth: { token: options.token ?? tokenFor() },
  });
  const client = createWireClient(socket, options);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', (error) => {
      socket.close();
      reject(error);
    });
  });
  return client;
}

function createWireClient(socket: Socket, options: WireOptions): WireClient {
  const client: WireClient = {
    socket,
    clientId: options.clientId ?? randomUUID(),
    incarnation: options.incarnation ?? randomUUID(),
    deltas: [],
    snapshots: [],
    cursor: null,
    page: null,
    records: new Map(),
    applied: [],
    faults: [],
    nextSeq: 1,
    request: async <T>(event: string, body: unknown) =>
      (await socket.timeout(10_000).emitWithAck(event, body)) as T,
    hello({ subscribe = ALL, cursor = client.page ?? client.cursor, ...more } = {}) {
      const { clientId, incarnation } = client;
      const body = { protocol: 1, clientId, incarnation, cursor, subscribe, ...more };
      return new Promise((resolve, reject) => {
        // in the callback, not behind an await: the first frames may come in the same read as the answer
        socket.timeout(10_000).emit('sync:hello', body, (error: Error | null, reply: HelloAck) => {
          if (error) {
            reject(error);
            return;
          }
          if (!reply.ok) {
            reject(Object.assign(new Error(reply.error.code), reply.error));
            return;
          }
          startOver(client, reply, cursor);
          resolve(reply);
        });
      });
    },
    push(mutations, { seq = client.nextSeq++, batchId = randomUUID(), atomic } = {}) {
      const flag = atomic === undefined ? {} : { atomic };
      return client.request<PushAck>('sync:push', { seq, batchId, mutations, ...flag });
    },
    close: () => void socket.close(),
  };
  const ack = (body: unknown): void => {
    if (options.acks !== false) socket.emit('sync:ack', body);
  };
  socket.on('sync:snapshot', (frame: Snapshot) => {
    client.snapshots.push(frame);
    for (const record of frame.records) {
      client.records.set(`${record.collection}/${record.id}`, {
        data: record.data,
        version: record.recordVersion,
      });
    }
    client.page = frame.more ? frame.page : null;
    if (!frame.more) client.cursor = frame.at;
    ack({ page: frame.page });
  });
  socket.on('sync:delta', (frame: Delta) => {
    client.deltas.push(frame);
    if (frame.from !== client.cursor && options.noGapCheck !== true) client.faults.push(`gap: ${frame.from}`);
    applyDelta(client, frame);
    ack({ to: frame.to });
  });
  return client;
}

function startOver(client: WireClient, reply: HelloReply, cursor: string | null): void {
  client.nextSeq = reply.lastSeq + 1;
  // a page token that was accepted goes on with the snapshot it belongs to
  if (reply.mode === 'reset' || cursor === null) client.records.clear();
  if (reply.mode === 'reset') client.cursor = client.page = null;
}

export const ALL: Subscription[] = ['fatura', 'stoku', 'porosia', 'assets', 'settings'].map((collection) => ({
  collection,
}));

function applyDelta(client: WireClient, frame: Delta): void {
  for (const change of frame.changes) {
    const key = `${change.collection}/${change.id}`;
    client.applied.push(`${change.version}.${change.index}`);
    if ((client.records.get(key)?.version ?? 0) > change.recordVersion) continue;
    if (change.op === 'put') client.records.set(key, { data: change.data, version: change.recordVersion });
    else client.records.delete(key);
  }
  client.cursor = frame.to;
}

/** Waits until a condition holds; throws with what it waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
