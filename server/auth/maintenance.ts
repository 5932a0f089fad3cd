import { sealAudit } from '../audit-seals.ts';
import type { Database } from '../db.ts';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { KeyRing } from './key-ring.ts';
import type { SecretBox } from './secret-box.ts';

export interface Maintenance {
  /** Deletes what can no longer matter to anybody. */
  cleanUp(): Promise<void>;
  close(): void;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * Every minute the signing keys move on and the audit log is sealed; every SESSION_CLEANUP_INTERVAL dead sessions, codes, sign-ups and devices go.
 * Safe on several nodes.
 */
export function startMaintenance(deps: {
  db: Database;
  box: SecretBox;
  keys: KeyRing;
  config: Config;
  log: Logger;
  clock: Clock;
}): Maintenance {
  const { db, keys, config, log, clock } = deps;
  const cleanUp = async (): Promise<void> => {
    const dayAgo = new Date(clock() - DAY_MS);
    const idle = new Date(clock() - config.JWT_REFRESH_EXPIRES_IN * 1_000 - DAY_MS);
    await db.sql('DELETE FROM sessions WHERE last_used_at < $1 OR expires_at < $2', [idle, dayAgo]);
    await db.sql('DELETE FROM refresh_tokens WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM one_time_codes WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM device_codes WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM used_proofs WHERE expires_at < $1', [new Date(clock())]);
    await db.sql('DELETE FROM rate_limits WHERE expire < $1', [Date.now()]);
    await db.sql('DELETE FROM email_changes WHERE created_at < $1', [dayAgo]);
    await db.sql('DELETE FROM invitations WHERE expires_at < $1', [new Date(clock() - 30 * DAY_MS)]);
    await db.sql('DELETE FROM mfa_tokens WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM passkey_challenges WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM api_key_secrets WHERE expires_at < $1', [dayAgo]);
    await db.sql('DELETE FROM client_secrets WHERE expires_at < $1', [dayAgo]);
    // without a session nothing is left that could prove to be the device
    await db.sql(FORGET_DEVICES, [dayAgo]);
    await db.sql('DELETE FROM users WHERE verified_at IS NULL AND created_at < $1', [
      new Date(clock() - 2 * DAY_MS),
    ]);
  };
  const every = (ms: number, work: () => Promise<void>): NodeJS.Timeout =>
    setInterval(() => {
      work().catch((error: unknown) =>
        log.warn(
          { err: error instanceof Error ? error.message : String(error) },
          'identity maintenance failed',
        ),
      );
    }, ms);
  const seal = async (): Promise<void> => {
    for (const { tenantId, number, mac } of await sealAudit(deps))
      // outside the database: what was sealed there is held against it
      log.info({ tenantId, seal: number, mac: mac.toString('hex') }, 'audit log sealed');
  };
  const timers = [
    every(MINUTE_MS, () => keys.advance()),
    every(MINUTE_MS, seal),
    every(config.SESSION_CLEANUP_INTERVAL, cleanUp),
  ];
  return { cleanUp, close: () => timers.forEach((timer) => clearInterval(timer)) };
}

const FORGET_DEVICES = `
  DELETE FROM devices d WHERE d.created_at < $1 AND NOT EXISTS (
    SELECT 1 FROM sessions s
    WHERE s.tenant_id = d.tenant_id AND s.principal_kind = 'device' AND s.principal_id = d.id)`;
