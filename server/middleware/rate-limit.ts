import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { networkOf } from '../auth/addresses.ts';
import type { CountListener } from '../auth/guess-gate.ts';
import type { Standing } from '../auth/identity.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Config } from '../config.ts';
import type { Count, Counter } from '../limits/limiter.ts';
import type { Limits } from '../limits/limits.ts';
import { limitOf, requestLimits } from '../limits/role-limits.ts';
import { callerOf } from './input.ts';

/**
 * Limits on flooding (those on guessing are in auth/guess-limits.ts). Keys are the connection's address (the proxy's word only with TRUST_PROXY), accounts and
 * clients; never a header that the client chooses (S53). What is few and grave is counted exactly over all nodes; what happens all the
 * time is counted here and told to the others in the background, so that no request pays for it.
 */
export interface RateLimits {
  /** The general limit for callers who have not authenticated; one who does so with this very request is not counted. */
  anonymous: Middleware;
  /** The same around the part of a request that is left when nothing has been proved yet. */
  asAnonymous<T>(ctx: Context, work: () => Promise<T>): Promise<T>;
  /**
   * The same for a request that was refused before it proved who it comes from. So whoever proves it is never held up by what
   * others do at that address. Throws `rate_limited`.
   */
  refused(ctx: Context): Promise<void>;
  /** The request has proved who it comes from. */
  authenticated(ctx: Context): void;
  signup: Middleware;
  /** Counts one request of an OAuth client that has its own rate. */
  consumeClient(ctx: Context, client: { id: string; perMinute: number }): Promise<void>;
  /** Counts one request of a caller who has authenticated: by what was given to them alone, else by their role. */
  consumeCaller(ctx: Context, caller: Principal, standing: Standing | undefined): Promise<void>;
  /** Registrations of anonymous devices. */
  deviceRegistration: Middleware;
  /** Acts that are few and grave. */
  strict: Middleware;
  /** Counts one change of API keys or their owners, by who makes it. */
  consumeKeyOperation(ctx: Context, by: Principal, standing: Standing | undefined): Promise<void>;
  /** Counts one token request of an OAuth client that has none: each may open a session. */
  consumeTokenRequest(ctx: Context, clientId: string): Promise<void>;
}

export function createRateLimits(config: Config, { exact, eventual }: Limits): RateLimits {
  const points = config.RATE_LIMIT_MAX_REQUESTS;
  const seconds = config.RATE_LIMIT_WINDOW_MS / 1_000;
  const anonymous = eventual({ name: 'anonymous', points, seconds });
  const tokens = eventual({ name: 'tokens', points: config.CLIENT_TOKEN_LIMIT, seconds: 60 });
  const signup = exact({ name: 'signup', points: config.SIGNUP_LIMIT, seconds: 3_600 });
  const registrations = exact({
    name: 'registration',
    points: config.DEVICE_REGISTRATION_LIMIT,
    seconds: 3_600,
  });
  const keyOperations = byRate((rate) =>
    exact({ name: `key operations ${rate}`, points: rate, seconds: 3_600 }),
  );
  const strict = exact({ name: 'strict', points: config.STRICT_LIMIT, seconds: 300 });
  const clients = byRate((rate) => eventual({ name: `client ${rate}`, points: rate, seconds: 60 }));
  const callers = byRate((rate) => eventual({ name: `caller ${rate}`, points: rate, seconds }));
  const byRole = requestLimits(config);
  const hasAuthenticated = new WeakSet<object>();
  const isCounted = new WeakSet<object>();
  const countAnonymous = async (ctx: Context): Promise<void> => {
    if (isCounted.has(ctx.state)) return;
    isCounted.add(ctx.state);
    await consume(ctx, anonymous, addressKey(ctx));
  };
  const asAnonymous: RateLimits['asAnonymous'] = async (ctx, work) => {
    await countAnonymous(ctx);
    const result = await work();
    if (hasAuthenticated.has(ctx.state)) await anonymous.add(addressKey(ctx), -1);
    return result;
  };
  return {
    anonymous: asAnonymous,
    asAnonymous,
    refused: countAnonymous,
    authenticated: (ctx) => void hasAuthenticated.add(ctx.state),
    signup: perAddress(signup),
    consumeClient: (ctx, client) => consume(ctx, clients(client.perMinute), client.id),
    async consumeCaller(ctx, { kind, id }, standing) {
      if (standing === undefined) return;
      const { role, own } = standing;
      if (kind === 'client' && own !== undefined) return consume(ctx, clients(own), id);
      const rate = own ?? limitOf(byRole, role) ?? Infinity;
      if (rate !== Infinity) await consume(ctx, callers(rate), `${kind} ${id}`);
    },
    deviceRegistration: perAddress(registrations),
    strict: perAddress(strict),
    async consumeKeyOperation(ctx, by, standing) {
      const given = standing && limitOf(config.KEY_OPERATION_ROLES, standing.role);
      const rate = given ?? config.KEY_OPERATION_LIMIT;
      if (rate !== Infinity) await consume(ctx, keyOperations(rate), `${by.tenantId} ${principalKey(by)}`);
    },
    consumeTokenRequest: (ctx, clientId) => consume(ctx, tokens, clientId),
  };
}

/** Shows the counts of a guess in the headers of its answer. */
export function showCounts(ctx: Context): CountListener {
  return (limiter, result) => writeHeaders(ctx, limiter, result);
}

/** One limiter for each rate in use. */
function byRate(create: (rate: number) => Counter): (rate: number) => Counter {
  const limiters = new Map<number, Counter>();
  return (rate) => {
    const limiter = limiters.get(rate) ?? create(rate);
    limiters.set(rate, limiter);
    return limiter;
  };
}

function perAddress(limiter: Counter): Middleware {
  return async (ctx, next) => {
    await consume(ctx, limiter, addressKey(ctx));
    await next();
  };
}

function addressKey(ctx: Context): string {
  return networkOf(callerOf(ctx).ip ?? '');
}

/** Takes one point and writes the headers of the tightest limit met so far. Throws `rate_limited`. */
async function consume(ctx: Context, limiter: Counter, key: string): Promise<void> {
  const count = await limiter.consume(key);
  writeHeaders(ctx, limiter, count);
  if (!count.passed) throw new AppError('rate_limited', { retryAfterMs: count.msBeforeNext });
}

/** `X-RateLimit-Reset` is the epoch second at which the window ends. */
function writeHeaders(ctx: Context, limiter: Counter, count: Count): void {
  const shown = ctx.response.get('X-RateLimit-Remaining');
  if (shown !== '' && Number(shown) <= count.remainingPoints) return;
  ctx.set('X-RateLimit-Limit', String(limiter.points));
  ctx.set('X-RateLimit-Remaining', String(Math.max(0, count.remainingPoints)));
  ctx.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + count.msBeforeNext) / 1_000)));
}
