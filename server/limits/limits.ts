import { createEventualCounter } from './eventual.ts';
import type { EventualCounter } from './eventual.ts';
import type { Counter, LimitOptions, Limiter } from './limiter.ts';
import type { SecretBox } from '../auth/secret-box.ts';
import type { Database } from '../db.ts';
import type { Logger } from '../log.ts';
import { openCountStore } from './store.ts';
import type { CountPool } from './store.ts';

/** Makes every limiter of the gateway. Those of one name count together, on all nodes. */
export interface Limits {
  /** Asks the store each time: for what is rare, or must hold to the last one. */
  exact: (options: LimitOptions) => Limiter;
  /** Costs a request nothing: for what happens all the time. */
  eventual: (options: LimitOptions) => Counter;
  /** Tells the store what it does not know yet. */
  close(): Promise<void>;
}

export interface LimitsOptions {
  db: Pick<Database, 'dataSource'>;
  redisUrl?: string | undefined;
  box: Pick<SecretBox, 'digest'>;
  log: Logger;
}

export function createLimits({ db, redisUrl, box, log }: LimitsOptions): Limits {
  const { master: pool } = db.dataSource.driver as unknown as { master: CountPool };
  const digest = (key: string): string => box.digest('limit', key).toString('base64url');
  const store = openCountStore({ pool, redisUrl, log, digest });
  const open: EventualCounter[] = [];
  return {
    exact: (limit) => store.createLimiter(limit),
    eventual(limit) {
      const counter = createEventualCounter(store.createLimiter(limit), limit);
      open.push(counter);
      return counter;
    },
    async close() {
      await Promise.all(open.map((counter) => counter.close()));
      store.close();
    },
  };
}
