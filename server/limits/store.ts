import { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterPostgres,
  RateLimiterRedis,
  RateLimiterRes,
} from 'rate-limiter-flexible';
import type { RateLimiterStoreAbstract } from 'rate-limiter-flexible';
import type { Logger } from '../log.ts';
import type { LimitOptions, Limiter } from './limiter.ts';

/** What the PostgreSQL store asks of a connection pool. */
export interface CountPool {
  query(statement: { name?: string; text: string; values?: unknown[] }): Promise<unknown>;
}

export interface StoreOptions {
  pool: CountPool;
  redisUrl?: string | undefined;
  log: Logger;
  /** What a key is stored as: a store holds neither addresses nor names. */
  digest: (key: string) => string;
}

/** Where counts are kept that every node sees. */
export interface CountStore {
  createLimiter(options: LimitOptions): Limiter;
  close(): void;
}

/** A store that does not answer in this time is taken for dead… */
const PATIENCE_MS = 1_000;
/** …and is not asked again before this. */
const REST_MS = 1_000;

/**
 * Opens the store: Redis when there is one, else the database. While it is dead each node counts in its own memory: nobody is
 * locked out for that, and the door does not stand open either.
 */
export function openCountStore(options: StoreOptions): CountStore {
  const { redisUrl, log, digest } = options;
  const redis = redisUrl === undefined ? undefined : connectRedis(redisUrl, log);
  const pool = redis === undefined ? createImpatientPool(options.pool, log) : undefined;
  return {
    createLimiter({ name, points, seconds }) {
      const settings = {
        keyPrefix: `sluice:${name}`,
        points,
        // Redis counts whole seconds
        duration: Math.max(1, Math.ceil(seconds)),
        // who is that far over the limit costs no round trip until the window ends
        inMemoryBlockOnConsumed: 2 * points,
        insuranceLimiter: new RateLimiterMemory({
          keyPrefix: `sluice:${name}`,
          points,
          duration: Math.max(1, Math.ceil(seconds)),
        }),
      };
      const limiter: RateLimiterStoreAbstract =
        redis === undefined
          ? new RateLimiterPostgres({
              ...settings,
              storeClient: pool,
              storeType: 'pool',
              tableName: 'rate_limits',
              tableCreated: true,
              // what is over is deleted with the rest (auth/maintenance.ts)
              clearExpiredByTimeout: false,
            })
          : new RateLimiterRedis({ ...settings, storeClient: redis, rejectIfRedisNotReady: true });
      return toLimiter(limiter, { name, points }, digest);
    },
    close: () => redis?.disconnect(),
  };
}

function toLimiter(
  limiter: RateLimiterStoreAbstract,
  { name, points }: Pick<LimitOptions, 'name' | 'points'>,
  digest: (key: string) => string,
): Limiter {
  return {
    name,
    points,
    async consume(key) {
      try {
        return { ...plain(await limiter.consume(digest(key))), passed: true };
      } catch (error) {
        if (!(error instanceof RateLimiterRes)) throw error;
        return { ...plain(error), passed: false };
      }
    },
    add: async (key, more = 1) => plain(await limiter.penalty(digest(key), more)),
    async find(key) {
      const found = await limiter.get(digest(key));
      return found === null ? undefined : plain(found);
    },
    async set(key, consumed, seconds) {
      await limiter.set(digest(key), consumed, Math.max(1, Math.ceil(seconds)));
    },
    forget: (key) => limiter.delete(digest(key)),
  };
}

function plain({ consumedPoints, remainingPoints, msBeforeNext }: RateLimiterRes): {
  consumedPoints: number;
  remainingPoints: number;
  msBeforeNext: number;
} {
  return { consumedPoints, remainingPoints, msBeforeNext: Math.max(0, msBeforeNext) };
}

/** Gives up soon, and leaves a dead database alone for a while: what waits for a count is waited for by a person. */
function createImpatientPool(pool: CountPool, log: Logger): CountPool {
  let deadUntil = 0;
  return {
    async query(statement) {
      if (Date.now() < deadUntil) throw new Error('the count store rests');
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error('the count store does not answer')), PATIENCE_MS);
      });
      const answer = pool.query(statement);
      // it may fail after nobody waits for it any more
      answer.catch(() => undefined);
      try {
        return await Promise.race([answer, patience]);
      } catch (error) {
        deadUntil = Date.now() + REST_MS;
        log.warn({ err: messageOf(error) }, 'counts are kept in memory: their store cannot be used');
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function connectRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: PATIENCE_MS,
    retryStrategy: () => 500,
  });
  redis.on('error', (error: Error) =>
    log.warn({ err: error.message }, 'counts are kept in memory: redis is not reachable'),
  );
  return redis;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
