import { AppError } from '../../protocol/errors.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';

/** A person's own sessions: seen, and ended one by one, all but this one, or all. */

export interface SessionView {
  id: string;
  app: string | null;
  ip: string | null;
  user_agent: string | null;
  created_at: Date;
  last_used_at: Date;
  expires_at: Date;
  amr: string[];
  /** What it was narrowed to; null: all that the person may do. */
  scopes: string[] | null;
  current: boolean;
  /** Its open sockets, on this node. */
  sockets: number;
}

const MAX_LISTED = 200;

/** The sessions that can still be used, the one used last first. */
export async function listSessions(core: IdentityCore, person: Principal): Promise<SessionView[]> {
  const now = core.clock();
  const rows = await core.db.sql<Omit<SessionView, 'current' | 'sockets'>>(
    `SELECT id, app, ip, user_agent, created_at, last_used_at, expires_at, amr, scopes FROM sessions s
     WHERE tenant_id = $1 AND principal_kind = 'user' AND principal_id = $2 AND revoked_at IS NULL
       AND expires_at > $3
       AND (id = $4 OR EXISTS (SELECT 1 FROM refresh_tokens t
                               WHERE t.tenant_id = $1 AND t.session_id = s.id AND t.used_at IS NULL
                                 AND t.expires_at > $3))
     ORDER BY last_used_at DESC, id LIMIT $5`,
    [person.tenantId, person.id, new Date(now), person.sessionId, MAX_LISTED],
  );
  return rows.map((row) => ({
    ...row,
    current: row.id === person.sessionId,
    sockets: core.revocations.sockets.countOf(row.id),
  }));
}

/** Ends one of the person's own sessions. Throws `not_found` for any other, whether there is one or not (S63). */
export async function endOwnSession(
  core: IdentityCore,
  person: Principal,
  sessionId: string,
  caller: Caller,
): Promise<void> {
  const { tenantId } = person;
  const by = principalKey(person);
  const ended = await core.db.transaction(async ({ sql }) => {
    const [own] = await sql(
      `SELECT 1 FROM sessions WHERE tenant_id = $1 AND id = $2 AND principal_kind = 'user' AND principal_id = $3
                                AND revoked_at IS NULL FOR UPDATE`,
      [tenantId, sessionId, person.id],
    );
    if (own !== undefined) {
      const target = { tenantId, kind: 'session', id: sessionId } as const;
      return revokeSessions(sql, target, { reason: 'ended_by_owner', by, caller });
    }
    await auditAct(sql, person, caller, { action: 'session.revoked', code: 'not_found' });
    return undefined;
  });
  if (ended === undefined) throw new AppError('not_found', { message: 'You have no such session.' });
  core.revocations.announceRevoked(tenantId, ended);
}

/** Ends all of the person's sessions, or all but the one that asks. Returns how many. */
export async function endOwnSessions(
  core: IdentityCore,
  person: Principal,
  which: 'all' | 'others',
  caller: Caller,
): Promise<number> {
  const { tenantId, id, sessionId } = person;
  const except = which === 'others' ? { except: sessionId } : {};
  const reason = which === 'others' ? 'others_ended_by_owner' : 'logout_all';
  const ended = await core.db.transaction(({ sql }) =>
    revokeSessions(
      sql,
      { tenantId, kind: 'user', id, ...except },
      { reason, by: principalKey(person), caller },
    ),
  );
  core.revocations.announceRevoked(tenantId, ended);
  return ended.length;
}
