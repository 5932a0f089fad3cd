import type { RequestListener, Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server as IoServer } from 'socket.io';
import { AppError } from '../protocol/errors.ts';
import { startIdentity } from './auth/identity.ts';
import type { Identity } from './auth/identity.ts';
import type { DisconnectListener } from './auth/revoke-delays.ts';
import { serveChat } from './chat/chat.ts';
import type { ChatDeps } from './chat/connection.ts';
import { tellOpenPages } from './chat/device-requests.ts';
import { startPresence } from './chat/presence.ts';
import { servesFoundation, servesIdentity } from './config.ts';
import type { Config } from './config.ts';
import { makeDataDir } from './data-dir.ts';
import { openDatabase } from './db.ts';
import type { Database } from './db.ts';
import { startEmbeddedPostgres } from './embedded/embedded-postgres.ts';
import { startHints } from './hints.ts';
import type { Hints } from './hints.ts';
import { createHttp } from './http.ts';
import { createIo } from './io.ts';
import { createListener } from './listener.ts';
import type { Logger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { createOriginCheck } from './origins.ts';
import { serveSync } from './socket.ts';
import { corkWrites } from './sockets/cork.ts';
import { createDoor } from './sockets/door.ts';
import { drain } from './sockets/drain.ts';
import type { Served } from './sockets/drain.ts';
import { watchStalls } from './sockets/stall-watch.ts';
import { startStatistics } from './statistics.ts';
import { createSync } from './sync/sync.ts';
import type { Sync, SyncDeps } from './sync/sync.ts';

export interface AppOptions {
  config: Config;
  log: Logger;
  /** What is going on while it starts, for a person to read. */
  progress?: (message: string) => void;
  /** Where mail is printed when there is no mail server. */
  console?: NodeJS.WritableStream;
  /** Aborted: it does not go on starting, and what was started is stopped. */
  signal?: AbortSignal;
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
 * when a later part fails, or when the signal is aborted: then it throws the signal's reason.
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
    // the first fault is the one that is told
    await close().catch((failure: unknown) =>
      options.log.error({ err: failure }, 'stopping what was started'),
    );
    // what fails while it is being stopped has no other cause worth telling (Ctrl-C reaches its PostgreSQL as well)
    throw options.signal?.aborted === true ? options.signal.reason : error;
  }
}

type Stops = (() => unknown)[];

async function stopAll(stops: Stops): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.reverse()) {
    // one that fails must not leave the others running, the database least of all
    try {
      await stop();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0) return;
  const reasons = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)));
  throw new AggregateError(failures, `The gateway did not stop cleanly: ${reasons.join('; ')}`);
}

async function start(options: AppOptions, stops: Stops): Promise<Omit<App, 'close'>> {
  const { config, log, faults = {}, signal } = options;
  const { db, hints } = await openStores(options, stops);
  // The handler comes first: Engine.IO takes its own path out of the hands of the listeners that are there before it
  const serving: { handle?: RequestListener } = {};
  const http = createListener((request, response) => serving.handle?.(request, response));
  const metrics = createMetrics();
  const { baseUrl, issuer } = createAddresses(config, http);
  const mailTo = options.console ? { console: options.console } : {};
  const onDisconnect: DisconnectListener = (seconds, heard) =>
    metrics.revokeDisconnect.observe({ heard }, seconds);
  const identity = await startIdentity({
    ...{ db, config, log, hints, issuer, baseUrl, onDisconnect },
    ...mailTo,
  });
  stops.push(() => identity.close());
  signal?.throwIfAborted();
  const allowOrigin = createOriginCheck(config, baseUrl);
  const io = servesFoundation(config) ? createIo(http, allowOrigin) : undefined;
  const sync = createSync({
    db,
    hints,
    log,
    afterCommit: faults.afterCommit,
    poll: faults.poll,
    emitToRoom: (room, frame) => void io?.of('/sync').local.to(room).emit('sync:delta', frame),
  });
  stops.push(() => sync.close());
  const door = createDoor();
  const parts = {
    identity,
    sync,
    db,
    hints,
    log,
    metrics,
    door,
    trustProxy: config.TRUST_PROXY,
    logsIn: servesIdentity(config),
  };
  const namespaces = io ? serveSockets(io, parts, stops) : [];
  const accepting = (): boolean => door.isOpen;
  const httpDeps = { config, db, identity, metrics, log, baseUrl, allowOrigin, accepting };
  serving.handle = createHttp(httpDeps).handle;
  stops.push(() => drain({ http, io, sync, door, namespaces }));
  await listen(http, config);
  signal?.throwIfAborted();
  return { url: listeningUrl(http, config.HOST), db, identity, sync, adminKeyFile: identity.adminKeyFile };
}

/** What everything else stands on: the database, migrated, and the bus between nodes. */
async function openStores(options: AppOptions, stops: Stops): Promise<{ db: Database; hints: Hints }> {
  const { config, log, faults = {}, progress = () => undefined, signal } = options;
  await makeDataDir(config.DATA_DIR);
  const url = config.DATABASE_URL ?? (await startOwnDatabase(config, stops, progress));
  signal?.throwIfAborted();
  progress('bringing the schema up to date');
  const db = await openDatabase({ url });
  stops.push(() => db.close());
  const statistics = startStatistics({ db, log });
  stops.push(() => statistics.close());
  signal?.throwIfAborted();
  const bus = await startHints({ databaseUrl: url, redisUrl: config.REDIS_URL, log });
  stops.push(() => bus.close());
  signal?.throwIfAborted();
  return { db, hints: faults.hints?.(bus) ?? bus };
}

type SocketParts = Omit<ChatDeps, 'login' | 'presence' | 'identity'> & {
  identity: Identity;
  /** Passwords are checked here. */
  logsIn: boolean;
};

function logInElsewhere(): AppError {
  return new AppError('forbidden', {
    message: 'Log in at the authentication service, and come with its token.',
  });
}

/** Both namespaces, and the watch over readers that have stalled. */
function serveSockets(io: IoServer, parts: SocketParts, stops: Stops): Served[] {
  const { identity, db, hints, log, metrics } = parts;
  const presence = startPresence({ db, hints, log });
  stops.push(() => presence.close());
  const syncSockets = serveSync(io, { ...parts, presence });
  const login: ChatDeps['login'] = async ({ username: name, ...rest }, from) => {
    if (!parts.logsIn) throw logInElsewhere();
    return identity.logIn({ name, ...rest, app: 'chat' }, from);
  };
  const chat = serveChat(io, { ...parts, presence, login });
  const stopTelling = tellOpenPages(io.of('/'), {
    requests: identity.deviceRequests,
    trustProxy: parts.trustProxy,
  });
  corkWrites(io);
  const stopWatch = watchStalls(io, () => metrics.slowConsumers.inc());
  stops.push(() => {
    stopTelling();
    chat.close();
    stopWatch();
  });
  // who has both is told why on /sync
  return [chat, syncSockets];
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
    http.listen(portOf(config), config.HOST, () => {
      http.off('error', reject);
      resolve();
    });
  });
}

/** The authentication service has a port of its own: both may run on one machine with one configuration. */
function portOf({ ROLE, PORT, AUTH_PORT }: Config): number {
  return ROLE === 'auth' ? AUTH_PORT : PORT;
}

/** Where this process is reached, and who issues the tokens: the same, unless that is the authentication service. */
function createAddresses(config: Config, http: HttpServer): { baseUrl: () => string; issuer: () => string } {
  const given = config.PUBLIC_URL?.replace(/\/$/, '');
  const auth = config.ROLE === 'all' ? undefined : config.AUTH_URL?.replace(/\/$/, '');
  // each token says it, and asking the server for its port is a system call
  let known: string | undefined;
  const listening = (): string => {
    if (http.listening) known ??= listeningUrl(http, config.HOST);
    return known ?? listeningUrl(http, config.HOST);
  };
  if (servesIdentity(config)) {
    const own = (): string => auth ?? given ?? listening();
    return { baseUrl: own, issuer: own };
  }
  const beside = urlAt(config.HOST, config.AUTH_PORT);
  return { baseUrl: () => given ?? listening(), issuer: () => auth ?? given ?? beside };
}

function listeningUrl(http: HttpServer, host: string): string {
  return urlAt(host, (http.address() as AddressInfo | null)?.port ?? 0);
}

function urlAt(host: string, port: number): string {
  const name = ['0.0.0.0', '::', ''].includes(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}
