import { AppError } from '../protocol/errors.ts';

/** Runs work when there is room for it. Lanes (tenants) that wait take turns, so that one cannot hold up the others. */
export type Gate = <T>(work: () => Promise<T>, lane?: number) => Promise<T>;

/**
 * Creates a gate that lets at most `limit` pieces of work run at a time; the others wait, in order within their lane. It throws
 * AppError `busy` when more than `mostWaiting` would.
 */
export function createGate(limit: number, mostWaiting = Infinity): Gate {
  let running = 0;
  let waiters = 0;
  const lanes = new Map<number, (() => void)[]>();
  const wait = (lane: number): Promise<void> =>
    new Promise((resolve) => {
      const waiting = lanes.get(lane);
      if (waiting) waiting.push(resolve);
      else lanes.set(lane, [resolve]);
    });
  const takeNext = (): (() => void) | undefined => {
    for (const [lane, waiting] of lanes) {
      const next = waiting.shift();
      // to the end of the round
      lanes.delete(lane);
      if (waiting.length > 0) lanes.set(lane, waiting);
      return next;
    }
    return undefined;
  };
  return async (work, lane = 0) => {
    if (running < limit) running += 1;
    else {
      if (waiters >= mostWaiting) throw new AppError('busy', { retryAfterMs: 2_000 });
      waiters += 1;
      // whoever finishes hands its place over, so `running` stays as it is
      await wait(lane);
      waiters -= 1;
    }
    try {
      return await work();
    } finally {
      const next = takeNext();
      if (next) next();
      else running -= 1;
    }
  };
}
