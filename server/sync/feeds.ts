import type { Sql } from '../db.ts';
import type { Logger } from '../log.ts';
import { Feed } from './feed.ts';
import type { FeedDeps, SegmentListener } from './feed.ts';
import { readHeads } from './log.ts';

/** The feeds of one node, one for each tenant that somebody follows. */
export interface Feeds {
  /** The tenant's feed, started when it is not yet followed. */
  follow: (tenantId: number) => Promise<Feed>;
  /** The tenant's feed when it has been started. */
  find(tenantId: number): Feed | undefined;
  /** How many there are. */
  readonly size: number;
  /**
   * Lets go of feeds that nobody has used since the call before last. Whoever follows a tenant takes hold of its feed in
   * the same turn in which it gets it, so that none is taken away in between.
   */
  release(): void;
  close(): void;
}

export interface PollBounds {
  minMs: number;
  maxMs: number;
}

interface FeedsDeps extends FeedDeps {
  poll?: PollBounds | undefined;
  /** The tenant's log in the database is another one than was followed. */
  onReplaced: (tenantId: number) => void;
}

export function createFeeds(deps: FeedsDeps): Feeds {
  const feeds = new Map<number, Promise<Feed>>();
  const started = new Map<number, Feed>();
  const listeners = new Map<number, Set<SegmentListener>>();
  const start = async (tenantId: number): Promise<Feed> => {
    const heard = listeners.get(tenantId) ?? new Set();
    listeners.set(tenantId, heard);
    try {
      const feed = await Feed.start(deps, tenantId, heard);
      started.set(tenantId, feed);
      return feed;
    } catch (error) {
      feeds.delete(tenantId);
      throw error;
    }
  };
  let recent = new Set<number>();
  const follow = (tenantId: number): Promise<Feed> => {
    recent.add(tenantId);
    const feed = feeds.get(tenantId) ?? start(tenantId);
    feeds.set(tenantId, feed);
    return feed;
  };
  const stopPoll = startPoll(deps, {
    started,
    retire(tenantId, feed) {
      deps.log.warn({ tenantId }, 'the log in the database is another one: its followers start anew');
      feeds.delete(tenantId);
      started.delete(tenantId);
      feed.retire();
      deps.onReplaced(tenantId);
    },
    refollow: () => refollow(deps.log, { listeners, feeds, follow }),
  });
  return {
    follow,
    find: (tenantId) => started.get(tenantId),
    get size() {
      return started.size;
    },
    release() {
      const before = recent;
      recent = new Set();
      for (const [tenantId, feed] of started) {
        if (feed.isInUse) recent.add(tenantId);
        else if (!before.has(tenantId)) {
          for (const each of [feeds, started, listeners]) each.delete(tenantId);
          feed.close();
        }
      }
    },
    close() {
      stopPoll();
      for (const feed of started.values()) feed.close();
    },
  };
}

interface Listened {
  listeners: Map<number, ReadonlySet<SegmentListener>>;
  feeds: ReadonlyMap<number, unknown>;
  follow: (tenantId: number) => Promise<unknown>;
}

async function refollow(log: Logger, { listeners, feeds, follow }: Listened): Promise<void> {
  for (const [tenantId, heard] of listeners) {
    if (feeds.has(tenantId)) continue;
    if (heard.size === 0) {
      listeners.delete(tenantId);
      continue;
    }
    // one that cannot be followed is tried again with the next poll, and is not in the way of the others
    await follow(tenantId).catch((error: unknown) => log.debug({ err: error, tenantId }, 'not followed'));
  }
}

interface Followed {
  started: ReadonlyMap<number, Feed>;
  /** Gives up a feed whose log has been replaced underneath it. */
  retire: (tenantId: number, feed: Feed) => void;
  /** Follows again what has listeners and no feed. */
  refollow(): Promise<void>;
}

type PollDeps = { sql: Sql; log: Logger; poll?: PollBounds | undefined };

/** Polls the clock rows of followed tenants, faster while hints turn out to be missing (DESIGN 7). */
function startPoll(deps: PollDeps, followed: Followed): () => void {
  const { minMs, maxMs } = deps.poll ?? { minMs: 250, maxMs: 2_000 };
  let wait = maxMs;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const poll = async (): Promise<void> => {
    const missed = await pollOnce(deps.sql, followed, () => stopped);
    wait = missed ? minMs : Math.min(maxMs, wait * 2);
    if (!stopped) await followed.refollow();
  };
  const schedule = (): void => {
    timer = setTimeout(() => {
      poll()
        .catch((error: unknown) => deps.log.debug({ err: error }, 'poll failed'))
        .finally(() => {
          if (!stopped) schedule();
        });
    }, wait);
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Says whether a feed had missed something. */
async function pollOnce(sql: Sql, { started, retire }: Followed, isStopped: () => boolean): Promise<boolean> {
  // where they stand before the question: what they reach meanwhile says nothing about the answer
  const before = [...started].map(([tenantId, feed]) => ({ tenantId, feed, ...feed.head }));
  if (before.length === 0) return false;
  const clocks = await readHeads(sql, before);
  if (isStopped()) return false;
  let missed = false;
  for (const { tenantId, feed, version, mark } of before) {
    // released, or given up, while the question was asked
    if (started.get(tenantId) !== feed) continue;
    const clock = clocks.get(tenantId);
    // a log that was replaced may have overtaken the feed meanwhile: then the mark tells
    if (!clock || clock.head < version || clock.epoch !== feed.epoch || clock.mark !== mark) {
      retire(tenantId, feed);
      continue;
    }
    if (clock.head > feed.head.version) missed = true;
    feed.advanceTo(clock.head);
  }
  return missed;
}
