import { createServer } from 'node:http';
import type { RequestListener, Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server as IoServer } from 'socket.io';
import { startIdentity } from './auth/identity.ts';
import type { Identity } from './auth/identity.ts';
import { serveChat } from './chat/chat.ts';
import type { ChatDeps } from './chat/connection.ts';
import { startPresence } from './chat/presence.ts';
import type { Config } from './config.ts';
import { makeDataDir } from './data-dir.ts';
import { openDatabase } from './db.ts';
import type { Database } from './db.ts';
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts';
import { startHints } from './hints.ts';
import type { Hints } from './hints.ts';
import { createHttp } from './http.ts';
import { createIo } from './io.ts';
import type { Logger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { createOriginCheck } from './origins.ts';
import { serveSync } from './socket.ts';
import { coalesceWrites } from './sockets/coalesce.ts';
import { watchDrain } from './sockets/drain-watch.ts';
import { createSync } from './sync/sync.ts';
import type { Sync, SyncDeps } from './sync/sync.ts';

export interface AppOptions {
  config: Config;
  log: Logger;
  /** What is going on while it starts, for a person to read. */
  progress?: (message: string) => void;
  /** Where mail is printed when there is no mail server. */
  console?: NodeJS.WritableStream;
  /** For fault tests. */
  faults?: Pick<SyncDeps, 'afterCommit' | 'poll'> & { hints?: (hints: Hints) => Hints };
}

export interface App {
  /** Where it listens, such as `http://127.0.0.1:8300`. */
  url: string;
  db: Database;
  identity: Identity;
  sync: Sync;
  /** File with the admin key, when the gateway made it. */
  adminKeyFile: string | undefined;
  /** Drains and stops, in the reverse of the order things were started in. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a gateway: database, hints, identity, sync, HTTP and sockets, in that order. What was started is stopped again
 * when a later part fails.
 */
export async function createApp(options: AppOptions): Promise<App> {
  const stops: Stops = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= stopAll(stops);
    return closing;
  };
  try {
    return { ...(await start(options, stops)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Stops = (() => unknown)[];

async function stopAll(stops: Stops): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.reverse()) {
    // one that fails must not leave the others running, the database least of all
    await Promise.resolve(stop()).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, 'The gateway did not stop cleanly.');
}

async function start(options: AppOptions, stops: Stops): Promise<Omit<App, 'close'>> {
  const { config, log, faults = {} } = options;
  const { db, hints } = await openStores(options, stops);
  // The handler comes first: Engine.IO takes its own path out of the hands of the listeners that are there before it
  const serving: { handle?: RequestListener } = {};
  const http = createServer((request, response) => serving.handle?.(request, response));
  const issuer = (): string => config.PUBLIC_URL?.replace(/\/$/, '') ?? listeningUrl(http, config.HOST);
  const mailTo = options.console ? { console: options.console } : {};
  const identity = await startIdentity({ db, config, log, hints, issuer, ...mailTo });
  stops.push(() => identity.close());
  const allowOrigin = createOriginCheck(config, issuer);
  const io = createIo(http, allowOrigin);
  const metrics = createMetrics();
  const sync = createSync({
    db,
    hints,
    log,
    afterCommit: faults.afterCommit,
    poll: faults.poll,
    emitToRoom: (room, frame) => void io.of('/sync').local.to(room).emit('sync:delta', frame),
  });
  stops.push(() => sync.close());
  serveSockets(io, { identity, sync, db, hints, log, metrics, trustProxy: config.TRUST_PROXY }, stops);
  let isDraining = false;
  const accepting = (): boolean => !isDraining;
  const httpDeps = { config, db, identity, sync, metrics, log, issuer, allowOrigin, accepting };
  serving.handle = createHttp(httpDeps).handle;
  stops.push(async () => {
    isDraining = true;
    await closeSockets(io, http, sync);
  });
  await listen(http, config);
  return { url: listeningUrl(http, config.HOST), db, identity, sync, adminKeyFile: identity.adminKeyFile };
}

/** What everything else stands on: the database, migrated, and the bus between nodes. */
async function openStores(options: AppOptions, stops: Stops): Promise<{ db: Database; hints: Hints }> {
  const { config, log, faults = {}, progress = () => undefined } = options;
  await makeDataDir(config.DATA_DIR);
  const url = config.DATABASE_URL ?? (await startOwnDatabase(config, stops, progress));
  progress('bringing the schema up to date');
  const db = await openDatabase({ url });
  stops.push(() => db.close());
  const bus = await startHints({ databaseUrl: url, redisUrl: config.REDIS_URL, log });
  stops.push(() => bus.close());
  return { db, hints: faults.hints?.(bus) ?? bus };
}

type SocketParts = Omit<ChatDeps, 'login' | 'presence' | 'identity'> & { identity: Identity };

/** Both namespaces, and the watch over readers that have stalled. */
function serveSockets(io: IoServer, parts: SocketParts, stops: Stops): void {
  const { identity, db, hints, log, metrics } = parts;
  const presence = startPresence({ db, hints, log });
  stops.push(() => presence.close());
  serveSync(io, { ...parts, presence });
  const login: ChatDeps['login'] = (name, password, from) =>
    identity.logIn({ name, password, app: 'chat' }, from);
  const chat = serveChat(io, { ...parts, presence, login });
  coalesceWrites(io);
  const stopWatch = watchDrain(io, () => metrics.slowConsumers.inc());
  stops.push(() => {
    chat.close();
    stopWatch();
  });
}

async function startOwnDatabase(
  config: Config,
  stops: Stops,
  progress: (message: string) => void,
): Promise<string> {
  const embedded = await startEmbeddedPostgres({ dataDir: config.DATA_DIR, log: progress });
  stops.push(() => embedded.close());
  return embedded.url;
}

function listen(http: HttpServer, config: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject);
    http.listen(config.PORT, config.HOST, () => {
      http.off('error', reject);
      resolve();
    });
  });
}

function listeningUrl(http: HttpServer, host: string): string {
  const address = http.address() as AddressInfo | null;
  const name = ['0.0.0.0', '::', ''].includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${address?.port ?? 0}`;
}

/** What waits for its verdict gets it; then the sockets close, and their clients come back to another node. */
async function closeSockets(io: IoServer, http: HttpServer, sync: Sync): Promise<void> {
  http.close();
  await Promise.race([sync.idle(), new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
  await io.close();
  http.closeAllConnections();
}
