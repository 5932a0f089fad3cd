import type { Count, Limiter } from './limiter.ts';

/** Keys that are kept; beyond that the oldest go. */
const MAX_KEYS = 100_000;

export interface RememberedLimiter extends Limiter {
  /**
   * The same counts, found as this node last heard of them, without asking the store: what other nodes counted is known from this
   * node's own next one on. For what may happen all the time as long as nothing fails.
   */
  remembered: Limiter;
}

/** Remembers what the store said of each count. */
export function rememberCounts(store: Limiter): RememberedLimiter {
  const heard = new Map<string, { consumedPoints: number; until: number }>();
  const learn = <T extends Count>(key: string, count: T): T => {
    heard.delete(key);
    if (heard.size >= MAX_KEYS) heard.delete(heard.keys().next().value ?? '');
    heard.set(key, { consumedPoints: count.consumedPoints, until: Date.now() + count.msBeforeNext });
    return count;
  };
  const recall = (key: string): Count | undefined => {
    const known = heard.get(key);
    if (known === undefined) return undefined;
    const msBeforeNext = known.until - Date.now();
    if (msBeforeNext <= 0) {
      heard.delete(key);
      return undefined;
    }
    const { consumedPoints } = known;
    return { consumedPoints, remainingPoints: Math.max(0, store.points - consumedPoints), msBeforeNext };
  };
  const limiter: Limiter = {
    ...store,
    consume: async (key) => learn(key, await store.consume(key)),
    add: async (key, points) => learn(key, await store.add(key, points)),
    async set(key, points, seconds) {
      heard.delete(key);
      await store.set(key, points, seconds);
    },
    forget(key) {
      heard.delete(key);
      return store.forget(key);
    },
  };
  return { ...limiter, remembered: { ...limiter, find: (key) => Promise.resolve(recall(key)) } };
}
