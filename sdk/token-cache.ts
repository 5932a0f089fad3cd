import type { TokenSource } from './types.ts';

export interface IssuedToken {
  token: string;
  /** Lifetime in seconds. */
  expiresIn: number;
}

export interface TokenCache extends TokenSource {
  set(issued: IssuedToken): void;
  clear(): void;
  /** The token at hand, while it is good; nothing is asked for. */
  held(): string | undefined;
}

/** A token is renewed when this much of its life is left, at most a minute. */
const MARGIN = { share: 0.2, maxMs: 60_000 };

/**
 * Keeps one access token in memory and renews it before it expires; callers that come at the same moment wait for
 * the same request. While a renewal fails, a token that is still good is given out.
 */
export function createTokenCache(now: () => number, issue: () => Promise<IssuedToken>): TokenCache {
  let cached: { token: string; renewAt: number; expiresAt: number } | undefined;
  let pending: Promise<string> | undefined;
  /** Counts clear(): what was asked for before must not come back after a logout. */
  let generation = 0;

  const set = ({ token, expiresIn }: IssuedToken): void => {
    const lifeMs = expiresIn * 1_000;
    const expiresAt = now() + lifeMs;
    cached = { token, expiresAt, renewAt: expiresAt - Math.min(MARGIN.maxMs, lifeMs * MARGIN.share) };
  };
  const renew = async (): Promise<string> => {
    const asked = generation;
    const issued = await issue();
    if (asked === generation) set(issued);
    return issued.token;
  };
  const renewOnce = (): Promise<string> =>
    (pending ??= renew().finally(() => {
      pending = undefined;
    }));

  return {
    set,
    clear() {
      generation += 1;
      cached = undefined;
      pending = undefined;
    },
    held: () => (cached && now() < cached.expiresAt ? cached.token : undefined),
    async getAccessToken({ forceRefresh = false } = {}) {
      const held = cached;
      if (held && !forceRefresh && now() < held.renewAt) return held.token;
      try {
        return await renewOnce();
      } catch (error) {
        if (held && held === cached && !forceRefresh && now() < held.expiresAt) return held.token;
        throw error;
      }
    },
  };
}
