import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Caller, IdentityCore } from './core.ts';
import { TERMINAL } from './device-flow.ts';
import { sha256 } from './opaque.ts';
import { mint, openSession } from './sessions.ts';
import type { OpenedSession, TokenSet } from './sessions.ts';

/** What a terminal that asks with its device code is answered (RFC 8628 section 3.4). */

/** Why there is no token, in the words of the RFC. */
export type DeviceRefusal =
  'authorization_pending' | 'slow_down' | 'access_denied' | 'expired_token' | 'invalid_grant';

const DEVICE_CODE = /^sdc_1_[\w-]{43}$/;
/** What a poll that comes too early costs. */
const SLOWER_SECONDS = 5;
const MAX_POLL_SECONDS = 60;
/** Travelling takes its time: polls that were sent in time may arrive closer together. */
const JITTER_MS = 500;

/** Whether somebody asked with this code and it is not over. Throws `invalid_code`: 256 bits are not found by guessing. */
export async function requireDeviceCode(core: IdentityCore, deviceCode: string): Promise<void> {
  const rows = DEVICE_CODE.test(deviceCode)
    ? await core.db.sql('SELECT 1 FROM device_codes WHERE tenant_id = $1 AND hash = $2', [
        TERMINAL.tenantId,
        sha256(deviceCode),
      ])
    : [];
  if (rows.length === 0) throw new AppError('invalid_code');
}

/** Answers one poll: a session of whoever approved, once (S50), or the reason why not. */
export async function redeemDevice(
  core: IdentityCore,
  request: { deviceCode: string; dpopJkt: string | undefined },
  caller: Caller,
): Promise<TokenSet | { refusal: DeviceRefusal }> {
  const refusal = await poll(core, request.deviceCode);
  if (refusal !== undefined) {
    if (refusal === 'invalid_grant') await auditRefusal(core, caller);
    return { refusal };
  }
  const opened = await redeem(core, request, caller);
  if (opened !== undefined) return mint(core, opened);
  await auditRefusal(core, caller);
  return { refusal: 'invalid_grant' };
}

interface PolledRow {
  state: 'pending' | 'approved' | 'denied' | 'redeemed';
  expired: boolean;
  early: boolean;
}

/** Counting the poll and judging its pace are one statement: parallel polls cannot outrun it. */
const POLL = `
  UPDATE device_codes d SET polled_at = $3,
    poll_seconds = CASE WHEN old.early THEN least(old.poll_seconds + $4, $5) ELSE old.poll_seconds END
  FROM (SELECT tenant_id, hash, state, poll_seconds, expires_at <= $3 AS expired,
               coalesce(polled_at > $3::timestamptz - make_interval(secs => poll_seconds - $6::float8), false) AS early
        FROM device_codes WHERE tenant_id = $1 AND hash = $2 FOR UPDATE) old
  WHERE d.tenant_id = old.tenant_id AND d.hash = old.hash
  RETURNING old.state, old.expired, old.early`;

async function poll(core: IdentityCore, deviceCode: string): Promise<DeviceRefusal | undefined> {
  const [row] = await core.db.sql<PolledRow>(POLL, [
    TERMINAL.tenantId,
    sha256(deviceCode),
    new Date(core.clock()),
    SLOWER_SECONDS,
    MAX_POLL_SECONDS,
    JITTER_MS / 1_000,
  ]);
  if (row === undefined || row.state === 'redeemed') return 'invalid_grant';
  if (row.expired) return 'expired_token';
  if (row.state === 'denied') return 'access_denied';
  if (row.early) return 'slow_down';
  return row.state === 'pending' ? 'authorization_pending' : undefined;
}

/**
 * Whoever ends all of a person's sessions locks the person first (see `endSessions`): either they see the session that is opened here,
 * or the approving one is seen to have ended (S21, S50). Two statements, for the second has to see what the first waited for.
 */
const HOLD_APPROVER = `
  SELECT 1 FROM users
  WHERE (tenant_id, id) = (SELECT tenant_id, decided_by FROM device_codes WHERE tenant_id = $1 AND hash = $2) FOR SHARE`;
const HOLD_APPROVAL = `
  SELECT 1 FROM sessions
  WHERE (tenant_id, id) = (SELECT tenant_id, decided_in FROM device_codes WHERE tenant_id = $1 AND hash = $2)
    AND revoked_at IS NULL FOR SHARE`;

/** One statement uses the approval up (S50). */
const REDEEM = `
  UPDATE device_codes SET state = 'redeemed'
  WHERE tenant_id = $1 AND hash = $2 AND state = 'approved' AND expires_at > $3
  RETURNING decided_by, granted`;

/**
 * Opens the session. Nobody has proved here who they are: what needs a fresh proof of that (requireFresh) is out of its reach
 * until somebody gives one in it.
 */
async function redeem(
  core: IdentityCore,
  { deviceCode, dpopJkt }: { deviceCode: string; dpopJkt: string | undefined },
  caller: Caller,
): Promise<OpenedSession | undefined> {
  const { tenantId, clientId } = TERMINAL;
  const code = [tenantId, sha256(deviceCode)];
  return core.db.transaction(async ({ sql }) => {
    await sql(HOLD_APPROVER, code);
    if ((await sql(HOLD_APPROVAL, code)).length === 0) return undefined;
    const [row] = await sql<{ decided_by: string; granted: string[] }>(REDEEM, [
      ...code,
      new Date(core.clock()),
    ]);
    if (row === undefined) return undefined;
    const session = await openSession(core, sql, {
      tenantId,
      kind: 'user',
      id: row.decided_by,
      // one of the gateway's own programs: it refreshes where they do
      clientId: null,
      scopes: row.granted,
      app: clientId,
      amr: [],
      authenticatedAt: 0,
      dpopJkt,
      caller,
    });
    await appendAudit(sql, {
      tenantId,
      action: 'oauth.token',
      principal: `user:${row.decided_by}`,
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { session: session.sessionId, grant: 'device_code', client: clientId, scope: row.granted },
    });
    return session;
  });
}

async function auditRefusal(core: IdentityCore, caller: Caller): Promise<void> {
  await appendAudit(core.db.sql, {
    tenantId: TERMINAL.tenantId,
    action: 'oauth.token',
    principal: null,
    success: false,
    code: 'invalid_grant',
    ip: caller.ip,
    requestId: caller.requestId,
    details: { grant: 'device_code', client: TERMINAL.clientId },
  });
}
