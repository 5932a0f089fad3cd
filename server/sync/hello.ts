import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Hello, HelloReply, Subscription, SyncAck } from '../../protocol/sync.ts';
import { PROTOCOL_VERSION } from '../../protocol/version.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Database } from '../db.ts';
import type { Collections } from './collections.ts';
import { parseCursor, parsePage, scopeTag } from './cursor.ts';
import type { ParsedCursor } from './cursor.ts';
import type { Feed } from './feed.ts';
import type { Gate } from '../gate.ts';
import { findMark, readClock } from './log.ts';
import type { SnapshotPlace } from './log.ts';
import { createScope } from './scope.ts';
import type { Scope } from './scope.ts';
import { Subscriber } from './subscriber.ts';
import type { FrameSink } from './subscriber.ts';

/** Installations, and incarnations of them, that one principal may add in a day. */
const NEW_INSTALLATIONS = 1_000;

/** What a socket holds after its hello. */
export interface SyncSession {
  reply: HelloReply;
  clientId: string;
  incarnation: string;
  maxMutations: number;
  readonly subscriber: Subscriber;
  /** Starts the flow of frames: after the reply has been sent. */
  start(): void;
  acknowledge(ack: SyncAck): void;
  /** Versions between the tenant's head and what the client has acknowledged. */
  readonly lag: number;
  /** What it asked for, which its rights may cut. */
  readonly requested: readonly Subscription[];
  /** Takes other subscriptions: a snapshot of the new slice follows. */
  subscribe(principal: Principal, subscriptions: readonly Subscription[]): void;
  /** Looks at its rights again; says whether the slice has changed, so that a snapshot of the new one follows. */
  rescope(principal: Principal): boolean;
  close(): void;
}

export interface HelloContext {
  db: Database;
  collections: Collections;
  follow: (tenantId: number) => Promise<Feed>;
  greet: Gate;
}

/** Makes the installation known, and says where it stands and how its subscriber starts. */
export async function sayHello(
  context: HelloContext,
  origin: { principal: Principal },
  request: { hello: Hello; sink: FrameSink },
): Promise<SyncSession> {
  const { hello, sink } = request;
  if (hello.protocol !== PROTOCOL_VERSION) throw new AppError('unsupported_protocol');
  if (!maySync(origin.principal)) throw new AppError('forbidden');
  const scope = createScope(origin.principal, context.collections, hello.subscribe);
  const { feed, lastSeq, start } = await context.greet(async () => {
    const { db } = context;
    const known = await registerClient(db, origin.principal, hello);
    const followed = await context.follow(origin.principal.tenantId);
    const decided = await decideStart(db, followed, scope, hello.cursor);
    return { feed: followed, lastSeq: known, start: decided };
  }, origin.principal.tenantId);
  await waitFor(feed, start.cursor.version);
  const reply: HelloReply = {
    ok: true,
    epoch: feed.epoch,
    head: feed.head.version,
    lastSeq,
    mode: start.mode,
    credits: LIMITS.creditFrames,
    serverTime: new Date().toISOString(),
  };
  return createSession(context, {
    feed,
    sink,
    hello,
    reply,
    subscriber: new Subscriber(feed, sink, scope, start),
  });
}

/** Whether there is anything at all that it may read or write here. */
function maySync({ scopes }: Principal): boolean {
  return [...scopes].some((scope) => scope === 'admin' || /^(sync|records):/.test(scope));
}

interface SessionStart {
  feed: Feed;
  sink: FrameSink;
  hello: Hello;
  reply: HelloReply;
  subscriber: Subscriber;
}

function createSession({ collections }: HelloContext, start: SessionStart): SyncSession {
  const { feed, sink, hello, reply } = start;
  let { subscriber } = start;
  let requested: readonly Subscription[] = hello.subscribe;
  let closed = false;
  let started = false;
  const restart = (next: Scope): void => {
    if (closed) return;
    feed.remove(subscriber);
    subscriber = new Subscriber(feed, sink, next, { cursor: feed.head, snapshot: FIRST_PAGE });
    if (started) feed.add(subscriber);
  };
  return {
    reply,
    clientId: hello.clientId,
    incarnation: hello.incarnation,
    maxMutations: Math.min(hello.limits?.batchMutations ?? LIMITS.batchMutations, LIMITS.batchMutationsMax),
    get lag() {
      return Math.max(0, feed.head.version - subscriber.acknowledged);
    },
    get subscriber() {
      return subscriber;
    },
    start() {
      started = true;
      feed.add(subscriber);
    },
    acknowledge: (ack) => acknowledge(subscriber, ack),
    get requested() {
      return requested;
    },
    subscribe(principal, subscriptions) {
      const next = createScope(principal, collections, subscriptions);
      requested = subscriptions;
      restart(next);
    },
    rescope(principal) {
      const next = createScope(principal, collections, requested);
      const changed = next.key !== subscriber.scope.key;
      if (changed) restart(next);
      return changed;
    },
    close() {
      closed = true;
      feed.remove(subscriber);
    },
  };
}

const FIRST_PAGE: SnapshotPlace = { collection: '', id: '' };

type Start = {
  mode: HelloReply['mode'];
  cursor: { version: number; mark: number };
  snapshot: SnapshotPlace | null;
};

/** Decides whether a cursor can be resumed from, and what happens instead when it cannot; never a silent gap (I9). */
async function decideStart(db: Database, feed: Feed, scope: Scope, cursor: string | null): Promise<Start> {
  if (cursor === null) return { mode: 'snapshot', cursor: feed.head, snapshot: FIRST_PAGE };
  const page = parsePage(cursor);
  const position = page ?? parseCursor(cursor);
  if (!position || position.scope !== scopeTag(scope.key) || !(await isOfThisHistory(db, feed, position)))
    return { mode: 'reset', cursor: feed.head, snapshot: FIRST_PAGE };
  const from = { version: position.version, mark: position.mark };
  if (page) return { mode: 'snapshot', cursor: from, snapshot: { collection: page.collection, id: page.id } };
  return { mode: 'resume', cursor: from, snapshot: null };
}

/** Another node may have read further than this one: a subscriber ahead of its feed would be sent frames twice. */
async function waitFor(feed: Feed, version: number): Promise<void> {
  await feed.reached(version);
  if (feed.head.version < version) throw new AppError('unavailable', { retryAfterMs: 500 });
}

/** Whether the log has the position, with its mark, and everything behind it. */
async function isOfThisHistory(db: Database, feed: Feed, position: ParsedCursor): Promise<boolean> {
  const clock = await readClock(db.sql, feed.tenantId);
  if (!clock || position.epoch !== clock.epoch.slice(0, 8)) return false;
  feed.advanceTo(clock.version);
  if (position.version > clock.version || position.version < clock.floor) return false;
  const mark = position.version === 0 ? 0 : await findMark(db.sql, feed.tenantId, position.version);
  return mark === position.mark;
}

function acknowledge(subscriber: Subscriber, ack: SyncAck): void {
  if ('page' in ack) {
    subscriber.acknowledge({ page: ack.page });
    return;
  }
  const position = parseCursor(ack.to);
  if (position) subscriber.acknowledge({ version: position.version });
}

/** Makes the installation known, or finds it again; it belongs to the principal that came first. */
async function registerClient(db: Database, principal: Principal, hello: Hello): Promise<number> {
  const [row] = await db.sql<{ last_seq: number }>(
    `INSERT INTO sync_clients (tenant_id, client_id, incarnation, principal, app_name, app_version)
     SELECT $1::integer, $2::uuid, $3, $4::text, $5, $6 WHERE NOT EXISTS (
       SELECT FROM sync_clients WHERE tenant_id = $1 AND client_id = $2 AND principal <> $4)
     AND (EXISTS (SELECT FROM sync_clients WHERE tenant_id = $1 AND client_id = $2 AND incarnation = $3)
       OR (SELECT count(*) FROM sync_clients
           WHERE tenant_id = $1 AND principal = $4 AND created_at > now() - interval '1 day') < $7)
     ON CONFLICT (tenant_id, client_id, incarnation) DO UPDATE
       SET last_seen_at = now(), app_name = excluded.app_name, app_version = excluded.app_version
       WHERE sync_clients.principal = excluded.principal
     RETURNING last_seq`,
    [
      principal.tenantId,
      hello.clientId,
      hello.incarnation,
      principalKey(principal),
      hello.app?.name ?? null,
      hello.app?.version ?? null,
      NEW_INSTALLATIONS,
    ],
  );
  if (row) return row.last_seq;
  const [known] = await db.sql<{ other: boolean }>(
    'SELECT true AS other FROM sync_clients WHERE tenant_id = $1 AND client_id = $2 AND principal <> $3 LIMIT 1',
    [principal.tenantId, hello.clientId, principalKey(principal)],
  );
  if (known) throw new AppError('client_mismatch');
  throw new AppError('rate_limited', {
    message: `At most ${NEW_INSTALLATIONS} new installations of one principal a day.`,
    retryAfterMs: 3_600_000,
  });
}
