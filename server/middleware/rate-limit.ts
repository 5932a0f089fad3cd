import type { Context, Middleware } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../protocol/errors.ts';
import type { CountListener } from '../auth/guess-gate.ts';
import type { Config } from '../config.ts';
import { callerOf } from './input.ts';

/**
 * Limits on flooding (those on guessing are in auth/guess-limits.ts). Keys are the connection's address (the proxy's word only with TRUST_PROXY), accounts and
 * clients; never a header that the client chooses (S53). Counts live in memory: each node has its own.
 */
export interface RateLimits {
  /** The general limit for callers who have not authenticated; one who does so with this very request is not counted. */
  anonymous: Middleware;
  /** The request has proved who it comes from. */
  authenticated(ctx: Context): void;
  signup: Middleware;
  /** Counts one request of an OAuth client that has its own rate. */
  consumeClient(ctx: Context, client: { id: string; perMinute: number }): Promise<void>;
  /** Counts one token request of an OAuth client that has none: each may open a session. */
  consumeTokenRequest(ctx: Context, clientId: string): Promise<void>;
}

export function createRateLimits(config: Config): RateLimits {
  const anonymous = createLimiter(
    'anonymous',
    config.RATE_LIMIT_MAX_REQUESTS,
    config.RATE_LIMIT_WINDOW_MS / 1_000,
  );
  const signup = createLimiter('signup', config.SIGNUP_LIMIT, 3_600);
  const tokens = createLimiter('tokens', config.CLIENT_TOKEN_LIMIT, 60);
  const clients = createClientLimiters();
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
    consumeClient: (ctx, client) => consume(ctx, clients(client.perMinute), client.id),
    consumeTokenRequest: (ctx, clientId) => consume(ctx, tokens, clientId),
  };
}

/** Shows the counts of a guess in the headers of its answer. */
export function showCounts(ctx: Context): CountListener {
  return (limiter, result) => writeHeaders(ctx, limiter, result);
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
