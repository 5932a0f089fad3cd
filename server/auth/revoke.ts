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
 * Ends the session a refresh token belongs to, if it is one of `clientId`'s (null: of the gateway's own programs). Returns how many
 * ended: none when it had ended before; undefined when there is no such session.
 */
export async function revokeByRefreshToken(
  core: IdentityCore,
  token: { refreshToken: string; clientId: string | null },
  caller: Caller,
): Promise<number | undefined> {
  const tenantId = findTenantOf('srt', token.refreshToken);
  if (tenantId === undefined) return undefined;
  const [row] = await core.db.sql<{ id: string; principal: string }>(
    `SELECT s.id, s.principal_kind || ':' || s.principal_id AS principal
     FROM refresh_tokens t JOIN sessions s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
     WHERE t.tenant_id = $1 AND t.hash = $2 AND s.client_id IS NOT DISTINCT FROM $3`,
    [tenantId, sha256(token.refreshToken), token.clientId],
  );
  if (row === undefined) return undefined;
  const cause = { reason: 'revoked_by_owner', by: row.principal, caller };
  return revoke(core, { tenantId, kind: 'session', id: row.id }, cause);
}

/** Logging out: the session's end with its own audit action. One that has ended meanwhile leaves no row. */
export async function logOut(
  core: IdentityCore,
  session: { tenantId: number; id: string; by: string },
  caller: Caller,
): Promise<void> {
  const { tenantId, id, by } = session;
  const ended = await core.db.transaction(async ({ sql }) => {
    const sessions = await endSessions(sql, { tenantId, kind: 'session', id }, 'logout');
    if (sessions.length === 0) return sessions;
    await appendAudit(sql, {
      tenantId,
      action: 'auth.logout',
      principal: by,
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { session: id },
    });
    return sessions;
  });
  core.revocations.announceRevoked(tenantId, ended);
}
