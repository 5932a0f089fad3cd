import type { BackoffOptions } from './types.ts';

export type Backoff = Required<BackoffOptions>;

export const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 30_000, stableMs: 10_000, longestMs: Infinity };

/** A refusal is not cured by haste: it is tried again ten times slower. */
const REFUSED_FACTOR = 10;

/**
 * Milliseconds before try number `attempt` (0, 1, 2…): full jitter, random(0, min(cap, base * 2^attempt)), so that
 * clients which lost the same gateway do not return together. What the gateway advised is a lower bound, and a short
 * advice (`busy`: in 1 ms) makes a short jitter. Only `longestMs` bounds it.
 */
export function retryDelay(
  backoff: Backoff,
  random: () => number,
  { attempt, advisedMs = 0 }: { attempt: number; advisedMs?: number | undefined },
): number {
  const base = advisedMs > 0 ? Math.min(advisedMs, backoff.baseMs) : backoff.baseMs;
  const bound = Math.min(backoff.capMs, base * 2 ** Math.min(attempt, 30));
  return Math.round(bounded(backoff, random, advisedMs + random() * bound));
}

/** The same after a refusal: slower, and never at once. */
export function refusedDelay(
  backoff: Backoff,
  random: () => number,
  options: { attempt: number; advisedMs?: number | undefined },
): number {
  const slow = { ...backoff, baseMs: backoff.baseMs * REFUSED_FACTOR, capMs: backoff.capMs * REFUSED_FACTOR };
  return Math.round(bounded(backoff, random, slow.baseMs / 2 + retryDelay(slow, random, options)));
}

/** Who would wait longer does not come back together either. */
function bounded({ longestMs }: Backoff, random: () => number, ms: number): number {
  return ms <= longestMs ? ms : longestMs * (0.5 + random() / 2);
}
