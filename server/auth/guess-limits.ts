import { RateLimiterMemory } from 'rate-limiter-flexible';
import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import { createGuessGate } from './guess-gate.ts';
import type { CountListener } from './guess-gate.ts';

/** Bounds guessing at secrets, over HTTP and sockets alike. Counts live in memory: each node has its own. */
export interface GuessLimits {
  /**
   * Lets `attempt` run while its failures stay within the limits of the pair of account and address, of the account, and of the
   * address. Throws `rate_limited`, `busy`, and whatever the attempt throws.
   */
  guard<T>(guess: Guess<T>): Promise<T>;
}

export interface Guess<T> {
  /** What is guessed at, whether it exists or not: `login ana`. */
  account: string;
  ip: string | undefined;
  attempt: () => Promise<T>;
  /** Whether the account has been used from this address before: strangers cannot lock it out there (S30). */
  isKnownAddress?: (ip: string) => Promise<boolean>;
  onCount?: CountListener | undefined;
  /** The secret has 256 random bits: only failures count, and strangers' failures do not keep the owner out. */
  unguessable?: boolean;
}

/** Refusals that are failed guesses; others (a full queue, a bad form) are not. */
const FAILED_GUESSES = new Set(['invalid_credentials', 'invalid_code']);

export function createGuessLimits(config: Config): GuessLimits {
  const duration = config.AUTH_FAILURE_WINDOW_MS / 1_000;
  const pair = new RateLimiterMemory({ keyPrefix: 'pair', points: config.AUTH_FAILURE_LIMIT, duration });
  const account = new RateLimiterMemory({
    keyPrefix: 'account',
    points: config.AUTH_FAILURE_LIMIT_ACCOUNT,
    duration,
  });
  const address = new RateLimiterMemory({
    keyPrefix: 'address',
    points: config.AUTH_FAILURE_LIMIT_ADDRESS,
    duration,
  });
  const gate = createGuessGate();
  return {
    async guard(guess) {
      const ip = guess.ip ?? '';
      const pairKey = `${guess.account} ${ip}`;
      const failuresOnly = guess.unguessable;
      const isExempt = async (): Promise<boolean> =>
        failuresOnly === true || (await guess.isKnownAddress?.(ip)) === true;
      const leave = await gate.enter(
        [
          { limiter: pair, key: pairKey, failuresOnly },
          { limiter: address, key: ip, failuresOnly },
          { limiter: account, key: guess.account, isExempt, failuresOnly },
        ],
        guess.onCount ?? (() => undefined),
      );
      try {
        const result = await guess.attempt();
        await pair.delete(pairKey);
        await leave(false);
        return result;
      } catch (error) {
        await leave(error instanceof AppError && FAILED_GUESSES.has(error.code));
        throw error;
      }
    },
  };
}
