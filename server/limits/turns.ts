import type { Count, LimitOptions, Limiter } from './limiter.ts';

/** The first wait, and the longest. */
const FIRST_MS = 1_000;
const MOST_MS = 3_600_000;
/** A turn that nobody takes is forgotten after this. */
const KEPT_SECONDS = (2 * MOST_MS) / 1_000;
/** Stands on the count of a turn that is being taken; questions count one each. */
const TAKEN = 1_000_000;

/**
 * Turns for those who come from strange networks to an account that is being guessed at (S30). Each network waits for its own turn,
 * from its first question on: the more failures, the longer, and no attacker can take another network's turn away.
 */
export interface Turns {
  /** Milliseconds until this one's turn comes; 0: it is now. The first question starts the wait. */
  ask(key: string, failuresOver: number): Promise<number>;
  /** Uses up the turn that was asked for with so many failures. Of several at once, one hears yes; before its time, nobody. */
  take(key: string, failuresOver: number): Promise<boolean>;
}

export function createTurns(limits: { exact: (options: LimitOptions) => Limiter }): Turns {
  const asked = limits.exact({ name: 'turn', points: TAKEN, seconds: KEPT_SECONDS });
  const leftOf = ({ msBeforeNext }: Count, failuresOver: number): number =>
    Math.max(0, waitFor(failuresOver) - (KEPT_SECONDS * 1_000 - msBeforeNext));
  return {
    async ask(key, failuresOver) {
      const count = await asked.add(key);
      if (count.consumedPoints < TAKEN) return leftOf(count, failuresOver);
      // somebody is taking it, or died while they did
      await asked.set(key, 1, KEPT_SECONDS);
      return waitFor(failuresOver);
    },
    async take(key, failuresOver) {
      const count = await asked.add(key, TAKEN);
      // two may have heard that it was their turn, and the next wait may have begun since
      if (leftOf(count, failuresOver) > 0) {
        await asked.add(key, -TAKEN);
        return false;
      }
      if (count.consumedPoints >= 2 * TAKEN) return false;
      await asked.forget(key);
      return true;
    },
  };
}

/** Doubles with each failure: a second, two, four, up to an hour. */
export function waitFor(failuresOver: number): number {
  return Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(30, Math.max(0, failuresOver)));
}
