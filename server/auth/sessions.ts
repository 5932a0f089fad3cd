import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { signAccessToken } from './access-token.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createRefreshToken, sha256 } from './opaque.ts';

/** Whose session is opened, and how far it may go. */
export interface SessionRequest {
  tenantId: number;
  kind: 'user' | 'client';
  /** UUID of the user or OAuth client. */
  id: string;
  /** Public id of the OAuth client; null for the gateway's own pages and programs. */
  clientId: string | null;
  /** Narrowed scopes; null: whatever the principal has at the time. */
  scopes: readonly string[] | null;
  app?: string | undefined;
  caller: Caller;
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
}

const LIVE_PRINCIPAL = {
  user: 'SELECT 1 FROM users WHERE tenant_id = $1 AND id = $4 AND disabled_at IS NULL AND verified_at IS NOT NULL FOR SHARE',
  client: 'SELECT 1 FROM oauth_clients WHERE tenant_id = $1 AND id = $4 AND disabled_at IS NULL FOR SHARE',
};

/** One statement: a login is one round trip, not three. */
const open = (kind: 'user' | 'client'): string => `
  WITH live AS (${LIVE_PRINCIPAL[kind]}),
  session AS (
    INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, client_id, scopes, app, ip, user_agent,
                          created_at, last_used_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11 FROM live RETURNING id)
  INSERT INTO refresh_tokens (tenant_id, hash, session_id, created_at, expires_at)
  SELECT $1, $12, id, $10, $13 FROM session RETURNING 1`;
const OPEN = { user: open('user'), client: open('client') };

/**
 * Opens a session inside the caller's transaction. The principal's row is locked against being disabled meanwhile: whichever
 * commits first, a disabled principal is left without a live session. Throws `invalid_credentials` when it is disabled.
 */
export async function openSession(
  core: IdentityCore,
  sql: Sql,
  request: SessionRequest,
): Promise<OpenedSession> {
  const { tenantId, kind, caller } = request;
  const sessionId = randomUUID();
  const refreshToken = createRefreshToken(tenantId);
  const now = core.clock();
  const expiresAt = now + core.config.SESSION_MAX_LIFETIME * 1_000;
  const refreshExpiresAt = refreshEnd(core, expiresAt);
  const opened = await sql(OPEN[kind], [
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
  });
  return {
    accessToken,
    expiresIn: exp - issuedAt,
    scope: granted.join(' '),
    refreshToken: session.refreshToken,
    refreshExpiresIn: Math.max(0, Math.round((session.refreshExpiresAt - now) / 1_000)),
    sessionId: session.sessionId,
  };
}
