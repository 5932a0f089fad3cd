import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import { findTenantOf, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import { endSessions, revokeSessions } from './revocations.ts';
import type { RevokeCause, RevokeTarget } from './revocations.ts';

const DISABLE = {
  user: `UPDATE users SET disabled_at = $3, changed_at = clock_timestamp()
         WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`,
  client: `UPDATE oauth_clients SET disabled_at = $3, changed_at = clock_timestamp()
           WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`,
  device: `UPDATE devices SET disabled_at = $3, changed_at = clock_timestamp()
           WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`,
  api_key: `UPDATE api_keys SET revoked_at = $3, changed_at = clock_timestamp()
            WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL`,
};

/**
 * Ends a session, or disables a user, device or OAuth client and ends all of its sessions, or ends an API key, which has none:
 * rows and audit in one transaction, then this node at once, then the other nodes. Returns how many sessions it ended.
 */
export async function revoke(core: IdentityCore, target: RevokeTarget, cause: RevokeCause): Promise<number> {
  const ended = await core.db.transaction(({ sql }) => revokeIn(core, sql, target, cause));
  announceEnd(core, target, ended);
  return ended.length;
}

/** The rows and the audit of it, in the caller's transaction. Returns the sessions it ended, for `announceEnd` after the commit. */
export async function revokeIn(
  core: IdentityCore,
  sql: Sql,
  target: RevokeTarget,
  cause: RevokeCause,
): Promise<string[]> {
  const { tenantId, kind, id } = target;
  if (kind !== 'session') await sql(DISABLE[kind], [tenantId, id, new Date(core.clock())]);
  return revokeSessions(sql, target, cause);
}

export function announceEnd(
  core: IdentityCore,
  { tenantId, kind, id }: RevokeTarget,
  ended: readonly string[],
): void {
  core.revocations.announceRevoked(tenantId, ended);
  if (kind !== 'session') core.revocations.announceChanged(tenantId, principalKey({ kind, id }));
}

/**
 * Ends the session a refresh token belongs to, if it is one of `clientId`'s (null: of the gateway's own programs). Says whether
 * there is such a session.
 */
export async function revokeByRefreshToken(
  core: IdentityCore,
  token: { refreshToken: string; clientId: string | null },
  caller: Caller,
): Promise<boolean> {
  const tenantId = findTenantOf('srt', token.refreshToken);
  if (tenantId === undefined) return false;
  const [row] = await core.db.sql<{ id: string; principal: string }>(
    `SELECT s.id, s.principal_kind || ':' || s.principal_id AS principal
     FROM refresh_tokens t JOIN sessions s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
     WHERE t.tenant_id = $1 AND t.hash = $2 AND s.client_id IS NOT DISTINCT FROM $3`,
    [tenantId, sha256(token.refreshToken), token.clientId],
  );
  if (row === undefined) return false;
  await endSession(core, { tenantId, id: row.id, by: row.principal, reason: 'revoked_by_owner' }, caller);
  return true;
}

/** Logging out: the session's end with its own audit action. */
export async function logOut(
  core: IdentityCore,
  session: { tenantId: number; id: string; by: string },
  caller: Caller,
): Promise<void> {
  const { tenantId, id, by } = session;
  const ended = await core.db.transaction(async ({ sql }) => {
    await appendAudit(sql, {
      tenantId,
      action: 'auth.logout',
      principal: by,
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { session: id },
    });
    return endSessions(sql, { tenantId, kind: 'session', id }, 'logout');
  });
  core.revocations.announceRevoked(tenantId, ended);
}

async function endSession(
  core: IdentityCore,
  session: { tenantId: number; id: string; by: string; reason: string },
  caller: Caller,
): Promise<void> {
  const { tenantId, id, by, reason } = session;
  await revoke(core, { tenantId, kind: 'session', id }, { reason, by, caller });
}
