import type { Count, Counter, LimitOptions, Limiter } from './limiter.ts';

/** Counts wait for this long at the most before the store is told of them. */
const FLUSH_MS = 250;
/** Keys that are kept; beyond that the oldest go, and are counted anew from what the store knows. */
const MAX_KEYS = 100_000;

/** What is known of one key: what the store said, what it is being told, and what it is yet to be told. */
interface Tally {
  shared: number;
  sending: number;
  pending: number;
  /** End of the window, in epoch milliseconds. */
  until: number;
}

export interface EventualCounter extends Counter {
  close(): Promise<void>;
}

/**
 * Counts here at once and tells the store in the background, so that no request waits for it. On one node it is exact; what others
 * counted is known a moment after this node has told of its own.
 */
export function createEventualCounter(store: Pick<Limiter, 'add'>, options: LimitOptions): EventualCounter {
  const { name, points, seconds } = options;
  const tallies = createTallies(seconds * 1_000);
  const dirty = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  const flush = async (): Promise<void> => {
    timer = undefined;
    const keys = [...dirty];
    dirty.clear();
    for (const key of keys) {
      const tally = tallies.find(key);
      if (tally !== undefined && tally.pending !== 0) await tell(store, key, tally);
    }
  };
  const later = (key: string): void => {
    dirty.add(key);
    timer ??= setTimeout(() => {
      flushing = flushing.then(flush);
    }, FLUSH_MS).unref();
  };
  const change = (key: string, by: number): Count => {
    const tally = tallies.require(key);
    // a flood is not told of to the last drop
    if (by < 0 || total(tally) < 2 * points) {
      tally.pending += by;
      later(key);
    }
    return toCount(tally, points);
  };
  return {
    name,
    points,
    consume(key) {
      const count = change(key, 1);
      return Promise.resolve({ ...count, passed: count.consumedPoints <= points });
    },
    add: (key, more = 1) => Promise.resolve(change(key, more)),
    async close() {
      clearTimeout(timer);
      await flushing;
      await flush();
    },
  };
}

async function tell(store: Pick<Limiter, 'add'>, key: string, tally: Tally): Promise<void> {
  [tally.sending, tally.pending] = [tally.pending, 0];
  try {
    const told = await store.add(key, tally.sending);
    [tally.shared, tally.until] = [told.consumedPoints, Date.now() + told.msBeforeNext];
  } catch {
    // said again with the next ones
    tally.pending += tally.sending;
  } finally {
    tally.sending = 0;
  }
}

interface Tallies {
  find(key: string): Tally | undefined;
  /** A new window begins when there is none. */
  require(key: string): Tally;
}

function createTallies(windowMs: number): Tallies {
  const tallies = new Map<string, Tally>();
  const find = (key: string): Tally | undefined => {
    const tally = tallies.get(key);
    if (tally === undefined || tally.until > Date.now()) return tally;
    tallies.delete(key);
    return undefined;
  };
  return {
    find,
    require(key) {
      const known = find(key);
      if (known) return known;
      if (tallies.size >= MAX_KEYS) tallies.delete(tallies.keys().next().value ?? '');
      const tally = { shared: 0, sending: 0, pending: 0, until: Date.now() + windowMs };
      tallies.set(key, tally);
      return tally;
    },
  };
}

function total({ shared, sending, pending }: Tally): number {
  return shared + sending + pending;
}

function toCount(tally: Tally, points: number): Count {
  const consumedPoints = Math.max(0, total(tally));
  return {
    consumedPoints,
    remainingPoints: Math.max(0, points - consumedPoints),
    msBeforeNext: Math.max(0, tally.until - Date.now()),
  };
}
