import type { Context, Middleware } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import { createGuessGate } from './guess-gate.ts';
import { callerOf } from './input.ts';

/**
 * Limits on guessing and flooding. Keys are the connection's address (the proxy's word only with TRUST_PROXY), accounts and
 * clients; never a header that the client chooses (S53). Counts live in memory: each node has its own.
 */
export interface RateLimits {
  /** The general limit for callers who have not authenticated; one who does so with this very request is not counted. */
  anonymous: Middleware;
  /** The request has proved who it comes from. */
  authenticated(ctx: Context): void;
  signup: Middleware;
  /** Guards a guess at `account`'s secret; a failure counts against pair, account and address, a success clears the pair. */
  guardGuess<T>(ctx: Context, guess: Guess<T>): Promise<T>;
  /** Counts one request of an OAuth client that has its own rate. */
  consumeClient(ctx: Context, client: { id: string; perMinute: number }): Promise<void>;
}

export interface Guess<T> {
  /** What is guessed at, whether it exists or not: `login ana`. */
  account: string;
  attempt: () => Promise<T>;
  /** Whether the account has been used from this address before: strangers cannot lock it out there (S30). */
  isKnownAddress?: (ip: string) => Promise<boolean>;
}

/** Refusals that are failed guesses; others (a full queue, a bad form) are not. */
const FAILED_GUESSES = new Set(['invalid_credentials', 'invalid_code', 'invalid_token']);

export function createRateLimits(config: Config): RateLimits {
  const window = config.AUTH_FAILURE_WINDOW_MS / 1_000;
  const pair = createLimiter('pair', config.AUTH_FAILURE_LIMIT, window);
  const account = createLimiter('account', config.AUTH_FAILURE_LIMIT_ACCOUNT, window);
  const address = createLimiter('address', config.AUTH_FAILURE_LIMIT_ADDRESS, window);
  const anonymous = createLimiter(
    'anonymous',
    config.RATE_LIMIT_MAX_REQUESTS,
    config.RATE_LIMIT_WINDOW_MS / 1_000,
  );
  const signup = createLimiter('signup', config.SIGNUP_LIMIT, 3_600);
  const clients = createClientLimiters();
  const gate = createGuessGate();
  const hasAuthenticated = new WeakSet<object>();
  return {
    anonymous: async (ctx, next) => {
      const key = callerOf(ctx).ip ?? '';
      await consume(ctx, anonymous, key);
      await next();
      if (hasAuthenticated.has(ctx.state)) await anonymous.reward(key, 1);
    },
    authenticated: (ctx) => void hasAuthenticated.add(ctx.state),
    signup: perAddress(signup),
    async guardGuess(ctx, guess) {
      const ip = callerOf(ctx).ip ?? '';
      const pairKey = `${guess.account} ${ip}`;
      const counts = [
        { limiter: pair, key: pairKey },
        { limiter: address, key: ip },
        { limiter: account, key: guess.account, isExempt: () => isKnownAddress(guess, ip) },
      ];
      const leave = await gate.enter(counts, (limiter, result) => writeHeaders(ctx, limiter, result));
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
    consumeClient: (ctx, client) => consume(ctx, clients(client.perMinute), client.id),
  };
}

async function isKnownAddress<T>(guess: Guess<T>, ip: string): Promise<boolean> {
  return (await guess.isKnownAddress?.(ip)) === true;
}

function createLimiter(keyPrefix: string, points: number, duration: number): RateLimiterMemory {
  return new RateLimiterMemory({ keyPrefix, points, duration });
}

/** One limiter for each rate in use. */
function createClientLimiters(): (perMinute: number) => RateLimiterMemory {
  const limiters = new Map<number, RateLimiterMemory>();
  return (perMinute) => {
    const limiter = limiters.get(perMinute) ?? createLimiter(`client ${perMinute}`, perMinute, 60);
    limiters.set(perMinute, limiter);
    return limiter;
  };
}

function perAddress(limiter: RateLimiterMemory): Middleware {
  return async (ctx, next) => {
    await consume(ctx, limiter, callerOf(ctx).ip ?? '');
    await next();
  };
}

/** Takes one point and writes the headers of the tightest limit met so far. Throws `rate_limited`. */
async function consume(ctx: Context, limiter: RateLimiterMemory, key: string): Promise<void> {
  try {
    writeHeaders(ctx, limiter, await limiter.consume(key));
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    writeHeaders(ctx, limiter, error);
    throw new AppError('rate_limited', { retryAfterMs: error.msBeforeNext });
  }
}

/** `X-RateLimit-Reset` is the epoch second at which the window ends. */
function writeHeaders(ctx: Context, limiter: RateLimiterMemory, result: RateLimiterRes): void {
  const shown = ctx.response.get('X-RateLimit-Remaining');
  if (shown !== '' && Number(shown) <= result.remainingPoints) return;
  ctx.set('X-RateLimit-Limit', String(limiter.points));
  ctx.set('X-RateLimit-Remaining', String(Math.max(0, result.remainingPoints)));
  ctx.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + result.msBeforeNext) / 1_000)));
}
