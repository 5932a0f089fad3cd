import { AppError } from '../../protocol/errors.ts';
import type { Count, Counter, Limiter } from '../limits/limiter.ts';

/** One count that a guess is measured by. */
export interface GuessCount {
  limiter: Limiter;
  key: string;
  /**
   * Asked when the count is used up, by failures or together with guesses under way: the milliseconds that this caller has to
   * wait; 0: it may pass; undefined: as long as everybody.
   */
  waitWhenFull?: ((failures: number) => Promise<number | undefined>) | undefined;
  /** Told of the count with one more failure. */
  onFailure?: ((count: Count) => Promise<void>) | undefined;
  /** Nobody is told how far it is: another name for the same thing would show there (S29). */
  isHidden?: boolean | undefined;
  /** Counts failures only: for 256-bit secrets, where a burst of guesses gains nothing and waiting would cost throughput. */
  failuresOnly?: boolean | undefined;
}

/** Told of each count that was changed or that refused: for the headers. */
export type CountListener = (limiter: Counter, count: Count) => void;

export interface Entry {
  /** What each count had when the guess was let in. */
  failures: number[];
  /** Frees the place, and counts a failure. */
  leave(failed: boolean): Promise<void>;
}

/**
 * Lets guesses through as long as failures plus guesses under way stay within each limit. Those beyond wait for the ones under
 * way instead of being refused: a burst of right answers passes, and a burst of wrong ones gets exactly the limit. Guesses under
 * way on other nodes are not seen: a burst over several nodes gets the limit on each of them, once.
 */
export interface GuessGate {
  /** Waits for a place. Throws `rate_limited`, or `busy` when too many wait. */
  enter(counts: readonly GuessCount[], onCount: CountListener): Promise<Entry>;
}

const MAX_WAITING = 512;
const NO_ANSWER = Promise.resolve(undefined);

type Look = { entry: number[] } | { obstacle: GuessCount };

/** Guesses under way on this node, and those that wait for them. */
interface Places {
  /** Runs a look at these counts; `isOld` says whether a guess at one of them has ended since it began. */
  look<T>(counts: readonly GuessCount[], look: (isOld: () => boolean) => Promise<T>): Promise<T>;
  isCrowded(count: GuessCount, failures: number): boolean;
  take(counts: readonly GuessCount[]): void;
  free(counts: readonly GuessCount[]): void;
  /** Until a guess at the same thing ends. Throws `busy` when too many wait. */
  waitFor(count: GuessCount): Promise<void>;
}

export function createGuessGate(): GuessGate {
  const places = createPlaces();
  return {
    async enter(counts, onCount) {
      let look = await tryEnter(places, counts, onCount);
      while ('obstacle' in look) {
        await places.waitFor(look.obstacle);
        look = await tryEnter(places, counts, onCount);
      }
      return {
        failures: look.entry,
        async leave(failed) {
          try {
            // the failure is counted before the place is free
            if (failed) await Promise.all(counts.map((count) => countFailure(count, onCount)));
          } finally {
            places.free(counts);
          }
        },
      };
    },
  };
}

/** Takes a place, or says what is full with guesses under way. Throws when a count is full with failures. */
async function tryEnter(
  places: Places,
  counts: readonly GuessCount[],
  onCount: CountListener,
): Promise<Look> {
  for (;;) {
    const look = await places.look(counts, (isOld) => lookOnce(places, { counts, onCount, isOld }));
    if (look !== undefined) return look;
  }
}

/** Undefined when a guess that ended meanwhile may have changed what was read. */
async function lookOnce(
  places: Places,
  request: { counts: readonly GuessCount[]; onCount: CountListener; isOld: () => boolean },
): Promise<Look | undefined> {
  const { counts, onCount, isOld } = request;
  const found = await Promise.all(counts.map(({ limiter, key }) => limiter.find(key)));
  const states = counts.map((count, i) => ({
    count,
    found: found[i],
    failures: found[i]?.consumedPoints ?? 0,
  }));
  const waits = await Promise.all(
    states.map(({ count, failures }) =>
      places.isCrowded(count, failures) ? (count.waitWhenFull?.(failures) ?? NO_ANSWER) : NO_ANSWER,
    ),
  );
  if (isOld()) return undefined;
  // from here on nothing comes in between
  const crowded = states.filter(
    ({ count, failures }, i) => waits[i] !== 0 && places.isCrowded(count, failures),
  );
  const full = crowded.find(({ count, failures }) => failures >= count.limiter.points);
  if (full) throw refusalBy(full.count, { found: full.found, wait: waits[states.indexOf(full)] }, onCount);
  const [first] = crowded;
  if (first) return { obstacle: first.count };
  places.take(counts);
  return { entry: states.map(({ failures }) => failures) };
}

function createPlaces(): Places {
  const underWay = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();
  let waiters = 0;
  const looks = new Map<string, Set<{ isOld: boolean }>>();
  const change = (counts: readonly GuessCount[], by: number): void => {
    for (const name of counts.map(nameOf)) {
      const open = (underWay.get(name) ?? 0) + by;
      if (open === 0) underWay.delete(name);
      else underWay.set(name, open);
    }
  };
  return {
    async look(counts, work) {
      const look = { isOld: false };
      const names = counts.map(nameOf);
      for (const name of names) looks.set(name, (looks.get(name) ?? new Set()).add(look));
      try {
        return await work(() => look.isOld);
      } finally {
        for (const name of names) {
          looks.get(name)?.delete(look);
          if (looks.get(name)?.size === 0) looks.delete(name);
        }
      }
    },
    isCrowded(count, failures) {
      const open = count.failuresOnly === true ? 0 : (underWay.get(nameOf(count)) ?? 0);
      return failures + open >= count.limiter.points;
    },
    take: (counts) => change(counts, 1),
    free(counts) {
      change(counts, -1);
      for (const name of counts.map(nameOf)) {
        looks.get(name)?.forEach((look) => (look.isOld = true));
        waiting.get(name)?.forEach((resolve) => resolve());
        waiting.delete(name);
      }
    },
    async waitFor(count) {
      if (waiters >= MAX_WAITING) throw new AppError('busy', { retryAfterMs: 2_000 });
      waiters += 1;
      await new Promise<void>((resolve) => {
        waiting.set(nameOf(count), [...(waiting.get(nameOf(count)) ?? []), resolve]);
      });
      waiters -= 1;
    },
  };
}

async function countFailure(
  { limiter, key, isHidden, onFailure }: GuessCount,
  onCount: CountListener,
): Promise<void> {
  const count = await limiter.add(key);
  if (isHidden !== true) onCount(limiter, count);
  await onFailure?.(count);
}

function nameOf({ limiter, key }: GuessCount): string {
  return `${limiter.name} ${key}`;
}

function refusalBy(
  { limiter, isHidden }: GuessCount,
  { found, wait }: { found: Count | undefined; wait: number | undefined },
  onCount: CountListener,
): AppError {
  const msBeforeNext = wait ?? found?.msBeforeNext ?? 1_000;
  if (found !== undefined && isHidden !== true) onCount(limiter, { ...found, msBeforeNext });
  return new AppError('rate_limited', { retryAfterMs: msBeforeNext });
}
