import { randomBytes, randomInt } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';

/**
 * A terminal asks to be let in and shows a code; a person who is logged in types it into the page and decides (RFC 8628).
 * The other half, what the terminal is answered, is in device-grants.ts.
 */

/** The one client that may ask: nobody can register another under a name that looks like it. */
export const TERMINAL = { clientId: 'sluice-cli', name: 'Sluice terminal client', tenantId: PEOPLE_TENANT };

export const CODE_LIFE_MS = 600_000;
export const POLL_SECONDS = 5;
/** No vowels, so that no words come about; no digits, so that nothing looks alike. 20^8 codes. */
const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ';
const CODE_LENGTH = 8;

export interface DeviceCodes {
  /** For the terminal alone: 256 random bits. */
  deviceCode: string;
  /** For people: XXXX-XXXX. */
  userCode: string;
}

/** What a person is to decide on. */
export interface DeviceRequest {
  client: string;
  /** What the terminal would get of what the person has. */
  scopes: string[];
  ip: string | null;
  createdAt: Date;
}

/** Makes the codes for a terminal that asks. `scopes` undefined: what the person has, without administration. */
export async function requestDevice(
  core: IdentityCore,
  scopes: readonly string[] | undefined,
  caller: Caller,
): Promise<DeviceCodes> {
  const { tenantId, clientId } = TERMINAL;
  const deviceCode = `sdc_${tenantId}_${randomBytes(32).toString('base64url')}`;
  const now = core.clock();
  return core.db.transaction(async ({ sql }) => {
    for (;;) {
      const userCode = createUserCode();
      const made = await sql(
        `INSERT INTO device_codes (tenant_id, hash, user_code, client_id, scopes, ip, user_agent, created_at, expires_at,
                                   poll_seconds, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending')
         ON CONFLICT ON CONSTRAINT device_codes_user_code_key DO NOTHING RETURNING 1`,
        [
          tenantId,
          sha256(deviceCode),
          digestOf(core, userCode),
          clientId,
          scopes ?? null,
          caller.ip ?? null,
          caller.userAgent?.slice(0, 300) ?? null,
          new Date(now),
          new Date(now + CODE_LIFE_MS),
          POLL_SECONDS,
        ],
      );
      if (made.length === 0) continue;
      await audit(sql, caller, { action: 'device.requested', principal: null });
      return { deviceCode, userCode: `${userCode.slice(0, 4)}-${userCode.slice(4)}` };
    }
  });
}

/** What waits for this code. Wrong codes count as guesses (S50). Throws `invalid_code`, `forbidden`, `rate_limited`. */
export async function findDeviceRequest(
  core: IdentityCore,
  by: Principal,
  userCode: string,
  caller: Caller,
): Promise<DeviceRequest> {
  requirePerson(by);
  return guarded(core, by, caller, async () => {
    const [row] = await core.db.sql<{ scopes: string[] | null; ip: string | null; created_at: Date }>(
      `SELECT scopes, ip, created_at FROM device_codes
       WHERE tenant_id = $1 AND user_code = $2 AND state = 'pending' AND expires_at > $3`,
      [by.tenantId, digestOf(core, readUserCode(userCode)), new Date(core.clock())],
    );
    if (row === undefined) return undefined;
    return {
      client: TERMINAL.name,
      scopes: grantable(by, row.scopes),
      ip: row.ip,
      createdAt: row.created_at,
    };
  });
}

/**
 * Lets the terminal in as `by`, or refuses it: once, by one statement, whoever else decides at the same time. Throws
 * `invalid_code`, `forbidden`, `rate_limited`.
 */
export async function decideDevice(
  core: IdentityCore,
  by: Principal,
  decision: { userCode: string; approve: boolean },
  caller: Caller,
): Promise<void> {
  requirePerson(by);
  const { approve } = decision;
  await guarded(core, by, caller, () =>
    core.db.transaction(async ({ sql }) => {
      const [row] = await sql<{ scopes: string[] | null; ip: string | null }>(
        `UPDATE device_codes SET state = $4, decided_by = $5, decided_in = $6
         WHERE tenant_id = $1 AND user_code = $2 AND state = 'pending' AND expires_at > $3 RETURNING scopes, ip`,
        [
          by.tenantId,
          digestOf(core, readUserCode(decision.userCode)),
          new Date(core.clock()),
          approve ? 'approved' : 'denied',
          by.id,
          by.sessionId,
        ],
      );
      if (row === undefined) return undefined;
      const granted = grantable(by, row.scopes);
      if (approve && granted.length === 0) {
        throw new AppError('forbidden', { message: 'It asks for nothing that you have.' });
      }
      if (approve) {
        await sql('UPDATE device_codes SET granted = $3 WHERE tenant_id = $1 AND user_code = $2', [
          by.tenantId,
          digestOf(core, readUserCode(decision.userCode)),
          granted,
        ]);
      }
      await audit(sql, caller, {
        action: approve ? 'device.approved' : 'device.denied',
        principal: principalKey(by),
        details: { askedFrom: row.ip, ...(approve ? { scope: granted } : {}) },
      });
      return true;
    }),
  );
}

/** Nobody hands out more than they have, and administration only where the terminal asked for it by name. */
function grantable(by: Principal, asked: readonly string[] | null): string[] {
  if (asked !== null) return asked.filter((scope) => by.scopes.has(scope));
  return [...by.scopes].filter((scope) => scope !== 'admin');
}

function requirePerson(by: Principal): void {
  if (by.kind === 'user' && by.tenantId === TERMINAL.tenantId) return;
  throw new AppError('forbidden', { message: 'Only a person can let a terminal in.' });
}

/** A code that finds nothing is a guess: it counts against the person and their address, and leaves a trace. */
async function guarded<T>(
  core: IdentityCore,
  by: Principal,
  caller: Caller,
  work: () => Promise<T | undefined>,
): Promise<T> {
  const attempt = async (): Promise<T> => {
    const found = await work();
    if (found !== undefined) return found;
    await audit(core.db.sql, caller, {
      action: 'device.code',
      principal: principalKey(by),
      code: 'invalid_code',
    });
    throw new AppError('invalid_code');
  };
  return core.guesses.guard({ account: `device ${by.id}`, ip: caller.ip, attempt, keepsFailures: true });
}

function createUserCode(): string {
  return Array.from({ length: CODE_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** However it was typed: small letters, with or without the hyphen. What is no code stays one that finds nothing. */
function readUserCode(typed: string): string {
  return typed
    .toUpperCase()
    .replace(/[\s-]/g, '')
    .slice(0, 2 * CODE_LENGTH);
}

function digestOf(core: IdentityCore, userCode: string): Buffer {
  return core.box.digest(`device ${TERMINAL.tenantId}`, userCode);
}

async function audit(
  sql: Sql,
  caller: Caller,
  event: {
    action: string;
    principal: string | null;
    code?: string;
    details?: Record<string, unknown>;
  },
): Promise<void> {
  const { code, details = {}, ...what } = event;
  await appendAudit(sql, {
    ...what,
    tenantId: TERMINAL.tenantId,
    success: code === undefined,
    ...(code === undefined ? {} : { code }),
    ip: caller.ip,
    requestId: caller.requestId,
    details: { client: TERMINAL.clientId, ...details },
  });
}
