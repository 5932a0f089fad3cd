import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { auditInsert, encodeAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import { prepare } from '../db.ts';
import type { Sql } from '../db.ts';
import { signAccessToken } from './access-token.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createRefreshToken, sha256 } from './opaque.ts';

/** Whose session is opened, and how far it may go. */
export interface SessionRequest {
  tenantId: number;
  kind: 'user' | 'device' | 'client';
  /** UUID of the user, device or OAuth client. */
  id: string;
  /** Public id of the OAuth client; null for the gateway's own pages and programs. */
  clientId: string | null;
  /** Narrowed scopes; null: whatever the principal has at the time. */
  scopes: readonly string[] | null;
  app?: string | undefined;
  /** How its principal has just proved who they are, in the words of RFC 8176: pwd, otp, hwk, rcv… */
  amr: readonly string[];
  /** Thumbprint of the key its tokens are bound to (RFC 9449). */
  dpopJkt?: string | undefined;
  /** When they did, in epoch milliseconds; left out: now. */
  authenticatedAt?: number | undefined;
  caller: Caller;
  /** Its audit row, where opening is all that is done: then no transaction is needed around it. */
  audit?: ((sessionId: string) => AuditEvent) | undefined;
}

export interface OpenedSession {
  tenantId: number;
  sessionId: string;
  refreshToken: string;
  /** Epoch milliseconds. */
  refreshExpiresAt: number;
}

/** What a login, a grant or a refresh is answered with. Lives in seconds. */
export interface TokenSet {
  accessToken: string;
  expiresIn: number;
  scope: string;
  refreshToken: string;
  refreshExpiresIn: number;
  sessionId: string;
  /** DPoP: it is worth nothing without the key it is bound to. */
  tokenType: 'Bearer' | 'DPoP';
}

const LIVE_PRINCIPAL = {
  user: 'SELECT 1 FROM users WHERE tenant_id = $1 AND id = $4 AND disabled_at IS NULL AND verified_at IS NOT NULL FOR SHARE',
  // one at a time: whoever comes next counts this session against the device's cap (S19)
  device: 'SELECT 1 FROM devices WHERE tenant_id = $1 AND id = $4 AND disabled_at IS NULL FOR NO KEY UPDATE',
  client: 'SELECT 1 FROM oauth_clients WHERE tenant_id = $1 AND id = $4 AND disabled_at IS NULL FOR SHARE',
};

/** One statement: a login is one round trip, not three. */
const open = (kind: SessionRequest['kind'], also = ''): string => `
  WITH live AS (${LIVE_PRINCIPAL[kind]}),
  session AS (
    INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, client_id, scopes, app, ip, user_agent,
                          created_at, last_used_at, authenticated_at, expires_at, amr, dpop_jkt)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $16, $11, $14, $15 FROM live RETURNING id)${also}
  INSERT INTO refresh_tokens (tenant_id, hash, session_id, created_at, expires_at)
  SELECT $1, $12, id, $10, $13 FROM session RETURNING 1`;
const OPEN = { user: open('user'), device: open('device'), client: open('client') };
const AUDIT = `, audit AS (${auditInsert('$17', ', session')})`;
const OPEN_AUDITED = {
  user: open('user', AUDIT),
  device: open('device', AUDIT),
  client: prepare('open-client', open('client', AUDIT)),
};

/**
 * Opens a session inside the caller's transaction. The principal's row is locked against being disabled meanwhile: whichever
 * commits first, a disabled principal is left without a live session. Throws `invalid_credentials` when it is disabled,
 * `address_refused` where its tenant lets nobody in.
 */
export async function openSession(
  core: IdentityCore,
  sql: Sql,
  request: SessionRequest,
): Promise<OpenedSession> {
  const { tenantId, kind, caller, audit } = request;
  await core.addressRules.requireAllowed(tenantId, caller, sql);
  const sessionId = randomUUID();
  const refreshToken = createRefreshToken(tenantId);
  const now = core.clock();
  const expiresAt = now + core.config.SESSION_MAX_LIFETIME * 1_000;
  const refreshExpiresAt = refreshEnd(core, expiresAt);
  const opened = await sql((audit ? OPEN_AUDITED : OPEN)[kind], [
    tenantId,
    sessionId,
    kind,
    request.id,
    request.clientId,
    request.scopes,
    request.app ?? null,
    caller.ip ?? null,
    caller.userAgent?.slice(0, 300) ?? null,
    new Date(now),
    new Date(expiresAt),
    sha256(refreshToken),
    new Date(refreshExpiresAt),
    request.amr,
    request.dpopJkt ?? null,
    new Date(request.authenticatedAt ?? now),
    ...(audit ? [encodeAudit(audit(sessionId))] : []),
  ]);
  if (opened.length === 0) throw new AppError('invalid_credentials');
  return { tenantId, sessionId, refreshToken, refreshExpiresAt };
}

/** Sliding life, capped by the session's absolute end (S17). */
function refreshEnd(core: IdentityCore, sessionEnd: number): number {
  return Math.min(core.clock() + core.config.JWT_REFRESH_EXPIRES_IN * 1_000, sessionEnd);
}

/** Stores a successor. Returns its end, in epoch milliseconds. */
export async function storeRefreshToken(
  core: IdentityCore,
  sql: Sql,
  token: { tenantId: number; sessionId: string; refreshToken: string; expiresAt: number },
): Promise<number> {
  const until = refreshEnd(core, token.expiresAt);
  await sql(
    `INSERT INTO refresh_tokens (tenant_id, hash, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    [token.tenantId, sha256(token.refreshToken), token.sessionId, new Date(core.clock()), new Date(until)],
  );
  return until;
}

/**
 * Mints an access token for a committed session, from what the database says of its principal now.
 * `scope` narrows this token only. Throws `revoked` when the session ended meanwhile.
 */
export async function mint(
  core: IdentityCore,
  session: OpenedSession,
  scope?: readonly string[],
): Promise<TokenSet> {
  const state = await core.states.load(session.tenantId, session.sessionId);
  if (state?.usable !== true || core.revocations.isRevoked(session.sessionId)) throw new AppError('revoked');
  const now = core.clock();
  const granted = [...state.scopes].filter((name) => scope === undefined || scope.includes(name));
  const issuedAt = Math.floor(now / 1_000);
  const exp = Math.min(issuedAt + core.config.JWT_EXPIRES_IN, Math.floor(state.expiresAt / 1_000));
  const accessToken = await signAccessToken(core, {
    tid: session.tenantId,
    sid: session.sessionId,
    sub: state.id,
    client_id: state.clientId ?? 'sluice',
    scope: granted.join(' '),
    roles: [...state.roles],
    exp,
    ...(state.dpopJkt === null ? {} : { cnf: { jkt: state.dpopJkt } }),
  });
  return {
    accessToken,
    expiresIn: exp - issuedAt,
    scope: granted.join(' '),
    refreshToken: session.refreshToken,
    refreshExpiresIn: Math.max(0, Math.round((session.refreshExpiresAt - now) / 1_000)),
    sessionId: session.sessionId,
    tokenType: state.dpopJkt === null ? 'Bearer' : 'DPoP',
  };
}

/**
 * Keeps a session from ending until the transaction is over, so that what it does is there for whoever ends it to see. Throws
 * `revoked` when it has ended (S18).
 */
export async function holdSession(
  sql: Sql,
  { tenantId, sessionId }: { tenantId: number; sessionId: string },
): Promise<void> {
  const live = await sql(
    'SELECT 1 FROM sessions WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL FOR SHARE',
    [tenantId, sessionId],
  );
  if (live.length === 0) throw new AppError('revoked');
}
