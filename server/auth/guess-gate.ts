import type { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../protocol/errors.ts';

/** One count that a guess is measured by. */
export interface GuessCount {
  limiter: RateLimiterMemory;
  key: string;
  /** Asked when the count is used up: whether this caller may pass all the same. */
  isExempt?: (() => Promise<boolean>) | undefined;
  /** Counts failures only: for 256-bit secrets, where a burst of guesses gains nothing and waiting would cost throughput. */
  failuresOnly?: boolean | undefined;
}

/**
 * Lets guesses through as long as failures plus guesses under way stay within each limit. Those beyond wait for the ones under
 * way instead of being refused: a burst of right answers passes, and a burst of wrong ones gets exactly the limit.
 */
/** Told of each count that was changed or that refused: for the headers. */
export type CountListener = (limiter: RateLimiterMemory, result: RateLimiterRes) => void;

export interface GuessGate {
  /** Waits for a place. Throws `rate_limited`, or `busy` when too many wait. Returns how to leave, telling the outcome. */
  enter(counts: readonly GuessCount[], onCount: CountListener): Promise<(failed: boolean) => Promise<void>>;
}

const MAX_WAITING = 512;

export function createGuessGate(): GuessGate {
  const underWay = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();
  let waiters = 0;
  let settled = 0;

  const countUnderWay = (key: string, change: number): void => {
    const count = (underWay.get(key) ?? 0) + change;
    if (count === 0) underWay.delete(key);
    else underWay.set(key, count);
  };
  /** What keeps the guess out: nothing, or a count that is full with guesses under way. Throws when full with failures. */
  const findObstacle = async (
    counts: readonly GuessCount[],
    onCount: CountListener,
  ): Promise<GuessCount | undefined> => {
    let seen: number;
    let obstacle: GuessCount | undefined;
    do {
      seen = settled;
      obstacle = undefined;
      for (const count of counts) {
        const failures = (await count.limiter.get(count.key))?.consumedPoints ?? 0;
        const open = count.failuresOnly === true ? 0 : (underWay.get(nameOf(count)) ?? 0);
        const full = failures + open >= count.limiter.points;
        if (!full || (await count.isExempt?.()) === true) continue;
        if (failures >= count.limiter.points) throw await refusalBy(count, onCount);
        obstacle ??= count;
      }
      // a guess that ended while this one was looking may have changed what was read
    } while (seen !== settled);
    return obstacle;
  };
  const waitFor = async (count: GuessCount): Promise<void> => {
    if (waiters >= MAX_WAITING) throw new AppError('busy', { retryAfterMs: 2_000 });
    waiters += 1;
    await new Promise<void>((resolve) => {
      waiting.set(nameOf(count), [...(waiting.get(nameOf(count)) ?? []), resolve]);
    });
    waiters -= 1;
  };
  return {
    async enter(counts, onCount) {
      for (;;) {
        const obstacle = await findObstacle(counts, onCount);
        if (obstacle === undefined) break;
        await waitFor(obstacle);
      }
      for (const count of counts) countUnderWay(nameOf(count), 1);
      return async (failed) => {
        // the failure is counted before the place is free
        if (failed) for (const { limiter, key } of counts) onCount(limiter, await limiter.penalty(key));
        settled += 1;
        for (const count of counts) {
          countUnderWay(nameOf(count), -1);
          waiting.get(nameOf(count))?.forEach((resolve) => resolve());
          waiting.delete(nameOf(count));
        }
      };
    },
  };
}

function nameOf({ limiter, key }: GuessCount): string {
  return `${limiter.keyPrefix} ${key}`;
}

async function refusalBy({ limiter, key }: GuessCount, onCount: CountListener): Promise<AppError> {
  const result = await limiter.get(key);
  if (result !== null) onCount(limiter, result);
  return new AppError('rate_limited', { retryAfterMs: result?.msBeforeNext ?? 1_000 });
}
