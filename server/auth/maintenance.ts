import type { Database } from '../db.ts';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { KeyRing } from './key-ring.ts';

export interface Maintenance {
  /** Deletes what can no longer matter to anybody. */
  cleanUp(): Promise<void>;
  close(): void;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const CLEAN_UP_EVERY = 60;

/** Every minute the signing keys move on; every hour dead sessions, codes and sign-ups go. Safe on several nodes. */
export function startMaintenance(deps: {
  db: Database;
  keys: KeyRing;
  config: Config;
  log: Logger;
  clock: Clock;
}): Maintenance {
  const { db, keys, config, log, clock } = deps;
  let minutes = 0;
  const cleanUp = async (): Promise<void> => {
    const dayAgo = new Date(clock() - DAY_MS);
    const idle = new Date(clock() - config.JWT_REFRESH_EXPIRES_IN * 1_000 - DAY_MS);
    await db.sql('DELETE FROM sessions WHERE last_used_at < $1 OR expires_at < $2', [idle, dayAgo]);
    await db.sql('DELETE FROM refresh_tokens WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM one_time_codes WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM users WHERE verified_at IS NULL AND created_at < $1', [
      new Date(clock() - 2 * DAY_MS),
    ]);
  };
  const tick = async (): Promise<void> => {
    await keys.advance();
    minutes += 1;
    if (minutes % CLEAN_UP_EVERY === 0) await cleanUp();
  };
  const timer = setInterval(() => {
    tick().catch((error: unknown) =>
      log.warn(
        { err: error instanceof Error ? error.message : String(error) },
        'identity maintenance failed',
      ),
    );
  }, MINUTE_MS);
  return { cleanUp, close: () => clearInterval(timer) };
}
