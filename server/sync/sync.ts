import type { Hello, Push, PushVerdict } from '../../protocol/sync.ts';
import type { Principal } from '../auth/principal.ts';
import type { Database } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import { createCollections } from './collections.ts';
import type { Collections } from './collections.ts';
import type { Feed, FeedDeps } from './feed.ts';
import { createFeeds } from './feeds.ts';
import type { PollBounds } from './feeds.ts';
import { createGate } from '../gate.ts';
import { sayHello } from './hello.ts';
import type { SyncSession } from './hello.ts';
import { readClock } from './log.ts';
import type { Clock } from './log.ts';
import { createPusher } from './push.ts';
import type { PushOrigin, Write, WriteOrigin } from './submission.ts';
import type { FrameSink } from './subscriber.ts';

export interface SyncDeps {
  db: Database;
  hints: Hints;
  log: Logger;
  emitToRoom: FeedDeps['emitToRoom'];
  /** For fault tests; see PushDeps. */
  afterCommit?: (() => Promise<void>) | undefined;
  /** Bounds of the poll that finds what a lost hint hid, in milliseconds. */
  poll?: PollBounds | undefined;
  /** For tests; see IDLE_MS. */
  idleMs?: number | undefined;
}

/** The sync core of one node. */
export interface Sync {
  collections: Collections;
  /** Says hello for an installation: where its sequence stands, and how its subscriber starts. */
  hello(
    origin: { principal: Principal; ip?: string | undefined },
    hello: Hello,
    sink: FrameSink,
  ): Promise<SyncSession>;
  /** Applies a batch once; see Pusher.push. */
  push(origin: PushOrigin, batch: Push): Promise<PushVerdict>;
  /** Applies a batch of the gateway's own once, by its batchId; see Pusher.write. */
  write(origin: WriteOrigin, batch: Write): Promise<PushVerdict>;
  /** Follows a tenant's log without a socket, for what the gateway itself derives from it (chat). */
  follow(tenantId: number): Promise<Feed>;
  /** Where a tenant's log stands. */
  readClock(tenantId: number): Promise<Clock | undefined>;
  /** Tenants this node keeps something of in memory. */
  readonly tenants: { followed: number; written: number };
  /** Batches waiting or running, for metrics and draining. */
  readonly waiting: number;
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Pages read from the database at a time, over all subscribers of the node. */
const CONCURRENT_READS = 4;
/** Hellos looked up at a time: the rest of the pool is for logins and all else. */
const CONCURRENT_HELLOS = 4;
/** What is kept of a tenant is let go when nobody has used it for so long, or twice as long at the most. */
const IDLE_MS = 120_000;

export function createSync(deps: SyncDeps): Sync {
  const collections = createCollections();
  const feeds = createFeeds({
    sql: deps.db.sql,
    log: deps.log,
    emitToRoom: deps.emitToRoom,
    read: createGate(CONCURRENT_READS),
    poll: deps.poll,
    onReplaced: (tenantId) => pusher.forget(tenantId),
  });
  const { follow } = feeds;
  const greet = createGate(CONCURRENT_HELLOS);
  const pusher = createPusher({
    pool: deps.db.syncPool,
    collections,
    afterCommit: deps.afterCommit,
    onCommitted(tenantId, group) {
      feeds.find(tenantId)?.offer(group);
      deps.hints.publish('version', `${tenantId}:${group.to}`);
    },
  });
  const stopHints = deps.hints.subscribe('version', (body) => {
    const [tenantId, version] = body.split(':').map(Number);
    if (tenantId !== undefined && Number.isSafeInteger(version))
      feeds.find(tenantId)?.advanceTo(version ?? 0);
  });
  const sweep = setInterval(() => {
    feeds.release();
    pusher.release();
  }, deps.idleMs ?? IDLE_MS).unref();
  return {
    collections,
    hello: (origin, hello, sink) =>
      sayHello({ db: deps.db, collections, follow, greet }, origin, { hello, sink }),
    push: (origin, batch) => pusher.push(origin, batch),
    write: (origin, batch) => pusher.write(origin, batch),
    follow,
    readClock: (tenantId) => readClock(deps.db.sql, tenantId),
    get tenants() {
      return { followed: feeds.size, written: pusher.size };
    },
    get waiting() {
      return pusher.waiting;
    },
    idle: () => pusher.idle(),
    async close() {
      stopHints();
      clearInterval(sweep);
      feeds.close();
      await pusher.idle();
    },
  };
}
