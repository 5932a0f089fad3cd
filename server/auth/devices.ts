import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { Principal } from './principal.ts';
import { CURRENT_XID } from './revocations.ts';
import { mint, openSession } from './sessions.ts';
import type { OpenedSession, TokenSet } from './sessions.ts';

/** Anonymous devices: no name, no password; the refresh token is all that proves one. */

export interface DeviceTraits {
  /** What it looks like: kept as an HMAC, to tell look-alikes apart. It opens nothing. */
  fingerprint: string;
  name?: string | undefined;
  platform?: string | undefined;
  userAgent?: string | undefined;
}

export interface DeviceView {
  deviceId: string;
  name: string | null;
  platform: string | null;
  userAgent: string | null;
  partitions: string[];
  isActive: boolean;
  createdAt: Date;
  updatedAt: Date;
  lastSeen: Date | null;
  activeSessions: number;
}

/** What a device may say of itself; null takes it back. */
export interface DeviceChanges {
  fingerprint?: string | undefined;
  name?: string | null | undefined;
  platform?: string | null | undefined;
  userAgent?: string | null | undefined;
}

/**
 * Registers a device and opens its first session. The same fingerprint makes another device: who only looks like one must not
 * become it. Throws `signup_closed`.
 */
export async function registerDevice(
  core: IdentityCore,
  traits: DeviceTraits,
  caller: Caller,
): Promise<{ deviceId: string; tokens: TokenSet }> {
  if (core.config.DEVICE_REGISTRATION === 'closed') {
    throw new AppError('signup_closed', { message: 'No devices are taken in: ask an administrator.' });
  }
  const tenantId = PEOPLE_TENANT;
  const deviceId = randomUUID();
  const fingerprint = digest(core, tenantId, traits.fingerprint);
  const opened = await core.db.transaction(async ({ sql }) => {
    const [row] = await sql<{ count: number }>(
      'SELECT count(*)::integer AS count FROM devices WHERE tenant_id = $1 AND fingerprint = $2',
      [tenantId, fingerprint],
    );
    await sql(
      `INSERT INTO devices (tenant_id, id, fingerprint, name, platform, user_agent, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
      [
        tenantId,
        deviceId,
        fingerprint,
        traits.name ?? null,
        traits.platform ?? null,
        traits.userAgent ?? null,
        new Date(core.clock()),
      ],
    );
    const session = await openDeviceSession(core, sql, { tenantId, deviceId }, caller);
    await auditAct(sql, { tenantId, kind: 'device', id: deviceId }, caller, {
      action: 'device.registered',
      details: { session: session.sessionId, lookAlikes: row?.count ?? 0 },
    });
    return session;
  });
  return { deviceId, tokens: await mint(core, opened) };
}

/**
 * A further session of a device that has proved itself. Over MAX_SESSIONS_PER_DEVICE those end that were unused the longest
 * (S19). Throws `invalid_credentials` when the device has been revoked.
 */
export async function openFurtherSession(
  core: IdentityCore,
  device: Principal,
  caller: Caller,
): Promise<TokenSet> {
  const { tenantId, id: deviceId } = device;
  const { opened, ended } = await core.db.transaction(async ({ sql }) => {
    const session = await openDeviceSession(core, sql, { tenantId, deviceId }, caller);
    const surplus = await endSurplus(core, sql, session, deviceId);
    await auditAct(sql, { tenantId, kind: 'device', id: deviceId }, caller, {
      action: 'device.session_opened',
      details: { session: session.sessionId, ended: surplus },
    });
    return { opened: session, ended: surplus };
  });
  core.revocations.announceRevoked(tenantId, ended);
  return mint(core, opened);
}

export async function requireDevice(sql: Sql, tenantId: number, id: string): Promise<DeviceView> {
  const [row] = await sql<DeviceView>(`${SELECT_DEVICES} AND d.id = $2`, [tenantId, id]);
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such device.' });
  return row;
}

/** What the device says of itself. */
export async function describeDevice(
  core: IdentityCore,
  device: Principal,
  changes: DeviceChanges,
  caller: Caller,
): Promise<DeviceView> {
  const { tenantId, id: deviceId } = device;
  const { fingerprint, name, platform, userAgent } = changes;
  return core.db.transaction(async ({ sql }) => {
    await sql(
      `UPDATE devices SET fingerprint = coalesce($3, fingerprint),
         name = CASE WHEN $4 THEN $5 ELSE name END, platform = CASE WHEN $6 THEN $7 ELSE platform END,
         user_agent = CASE WHEN $8 THEN $9 ELSE user_agent END, updated_at = $10, changed_at = clock_timestamp()
       WHERE tenant_id = $1 AND id = $2`,
      [
        tenantId,
        deviceId,
        fingerprint === undefined ? null : digest(core, tenantId, fingerprint),
        name !== undefined,
        name ?? null,
        platform !== undefined,
        platform ?? null,
        userAgent !== undefined,
        userAgent ?? null,
        new Date(core.clock()),
      ],
    );
    const details = { fields: Object.keys(changes) };
    await auditAct(sql, { tenantId, kind: 'device', id: deviceId }, caller, {
      action: 'device.changed',
      details,
    });
    return requireDevice(sql, tenantId, deviceId);
  });
}

/** `$1` is the tenant. */
export const SELECT_DEVICES = `
  SELECT d.id AS "deviceId", d.name, d.platform, d.user_agent AS "userAgent", d.partitions,
         d.disabled_at IS NULL AS "isActive", d.created_at AS "createdAt", d.updated_at AS "updatedAt",
         s.last_seen AS "lastSeen", coalesce(s.active, 0)::integer AS "activeSessions"
  FROM devices d LEFT JOIN LATERAL (
    SELECT max(last_used_at) AS last_seen, count(*) FILTER (WHERE revoked_at IS NULL) AS active FROM sessions
    WHERE tenant_id = d.tenant_id AND principal_kind = 'device' AND principal_id = d.id) s ON true
  WHERE d.tenant_id = $1`;

interface DeviceId {
  tenantId: number;
  deviceId: string;
}

function openDeviceSession(
  core: IdentityCore,
  sql: Sql,
  { tenantId, deviceId }: DeviceId,
  caller: Caller,
): Promise<OpenedSession> {
  const request = { tenantId, kind: 'device', id: deviceId, clientId: null, scopes: null, amr: [] } as const;
  return openSession(core, sql, { ...request, caller });
}

/** Opening has locked the device's row, so that no other session is opened between this count and the commit. */
async function endSurplus(
  core: IdentityCore,
  sql: Sql,
  opened: OpenedSession,
  deviceId: string,
): Promise<string[]> {
  const rows = await sql<{ id: string }>(
    `UPDATE sessions SET revoked_at = clock_timestamp(), revoked_reason = 'session_cap', revoked_xid = ${CURRENT_XID}
     WHERE tenant_id = $1 AND revoked_at IS NULL AND id IN (
       SELECT id FROM sessions
       WHERE tenant_id = $1 AND principal_kind = 'device' AND principal_id = $2 AND revoked_at IS NULL AND expires_at > $5
       ORDER BY id = $3 DESC, last_used_at DESC, id OFFSET $4)
     RETURNING id`,
    [
      opened.tenantId,
      deviceId,
      opened.sessionId,
      core.config.MAX_SESSIONS_PER_DEVICE,
      new Date(core.clock()),
    ],
  );
  return rows.map((row) => row.id);
}

/** Keyed: what a device looks like could be guessed from a bare hash. */
function digest(core: IdentityCore, tenantId: number, fingerprint: string): Buffer {
  return core.box.digest(`device fingerprint ${tenantId}`, fingerprint);
}
