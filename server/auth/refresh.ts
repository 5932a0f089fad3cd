import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import type { Sql, Tx } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createRefreshToken, findTenantOf, sha256 } from './opaque.ts';
import { endSessions } from './revocations.ts';
import { createSecretBox } from './secret-box.ts';
import { mint, storeRefreshToken } from './sessions.ts';
import type { OpenedSession, TokenSet } from './sessions.ts';

export interface RefreshRequest {
  refreshToken: string;
  /** Public id of the authenticated OAuth client; null for the gateway's own programs. A token is bound to it (S15). */
  clientId: string | null;
  /** Thumbprint of the key that the caller has proved; tokens of a session that is bound to one need it (S15). */
  dpopJkt?: string | undefined;
  /** Whose tokens are meant; left out: anybody's. */
  kind?: 'device';
  /** Narrows the access token; what was not granted is refused (S16). */
  scope?: readonly string[] | undefined;
  /** A token that there is not leaves no trace (see `Guess.attempt`). */
  isOver?: boolean;
  caller: Caller;
}

/** A retry of a refresh whose answer was lost gets the same successor for this long after the first use. */
export const GRACE_MS = 10_000;
const SUCCESSOR = 'refresh successor';

/**
 * Rotates a refresh token. Throws `invalid_token` (unknown, or another client's), `token_expired`, `revoked` (session ended,
 * or ended now because the token was used again after the grace), `forbidden` (a scope that was not granted).
 */
export async function refresh(core: IdentityCore, request: RefreshRequest): Promise<TokenSet> {
  const tenantId = findTenantOf('srt', request.refreshToken);
  if (tenantId === undefined) throw new AppError('invalid_token');
  // before it is used up
  await core.addressRules.requireAllowed(tenantId, request.caller);
  const outcome = await core.db.transaction((tx) => rotate(core, tx, { ...request, tenantId }));
  if ('refusal' in outcome) {
    core.revocations.announceRevoked(tenantId, outcome.revoked);
    throw outcome.refusal;
  }
  return mint(core, outcome, { scope: request.scope });
}

interface TokenRow {
  session_id: string;
  expires_at: Date;
  used_at: Date | null;
  successor: Buffer | null;
  client_id: string | null;
  dpop_jkt: string | null;
  principal: string;
  session_expires_at: Date;
  session_scopes: string[] | null;
  revoked: boolean;
}

type Rotation = RefreshRequest & { tenantId: number };
type Outcome = OpenedSession | { refusal: AppError; revoked: string[] };

async function rotate(core: IdentityCore, { sql }: Tx, request: Rotation): Promise<Outcome> {
  const row = await findToken(sql, request);
  const refused = findRefusal(core, row, request);
  if (row === undefined || refused !== undefined)
    return refuse(sql, request, row, refused ?? 'invalid_token');
  if (row.used_at === null) {
    const rotated = await consume(core, sql, request, row);
    if (rotated !== undefined) return rotated;
  }
  // used before, or in this moment by a parallel request
  return replay(core, sql, request);
}

function findRefusal(
  core: IdentityCore,
  row: TokenRow | undefined,
  request: Rotation,
): 'invalid_token' | 'revoked' | 'token_expired' | 'forbidden' | undefined {
  if (row?.client_id !== request.clientId) return 'invalid_token';
  if (row.dpop_jkt !== (request.dpopJkt ?? null)) return 'invalid_token';
  if (request.kind !== undefined && !row.principal.startsWith(`${request.kind}:`)) return 'invalid_token';
  if (row.revoked) return 'revoked';
  if (Math.min(row.expires_at.getTime(), row.session_expires_at.getTime()) <= core.clock()) {
    return 'token_expired';
  }
  const granted = row.session_scopes;
  return granted !== null && request.scope?.some((name) => !granted.includes(name)) === true
    ? 'forbidden'
    : undefined;
}

/** One statement uses the token up (S13); locking the session row next lets a revocation win (S18). */
async function consume(
  core: IdentityCore,
  sql: Sql,
  request: Rotation,
  row: TokenRow,
): Promise<Outcome | undefined> {
  const now = new Date(core.clock());
  const { tenantId } = request;
  const successor = createRefreshToken(tenantId);
  const sealed = createSecretBox(request.refreshToken).seal(SUCCESSOR, successor);
  const used = await sql(
    `UPDATE refresh_tokens SET used_at = $3, successor = $4
     WHERE tenant_id = $1 AND hash = $2 AND used_at IS NULL AND expires_at > $3 RETURNING 1`,
    [tenantId, sha256(request.refreshToken), now, sealed],
  );
  if (used.length === 0) return undefined;
  const session = await sql(
    `UPDATE sessions SET last_used_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING 1`,
    [tenantId, row.session_id, now],
  );
  if (session.length === 0) return refuse(sql, request, row, 'revoked');
  const refreshExpiresAt = await storeRefreshToken(core, sql, {
    tenantId,
    sessionId: row.session_id,
    refreshToken: successor,
    expiresAt: row.session_expires_at.getTime(),
  });
  await appendAudit(sql, eventOf('auth.refresh', request, row));
  return { tenantId, sessionId: row.session_id, refreshToken: successor, refreshExpiresAt };
}

/** Within the grace: the identical successor, as long as nobody has used that one. After it: theft, the session ends (S12, S14). */
async function replay(core: IdentityCore, sql: Sql, request: Rotation): Promise<Outcome> {
  const row = await findToken(sql, request);
  if (!row?.used_at || row.successor === null) return refuse(sql, request, row, 'invalid_token');
  if (core.clock() - row.used_at.getTime() > GRACE_MS) return endStolenSession(sql, request, row);
  const successor = createSecretBox(request.refreshToken).open(SUCCESSOR, row.successor).toString('utf8');
  const next = await findToken(sql, { tenantId: request.tenantId, refreshToken: successor });
  if (next?.used_at !== null) return refuse(sql, request, row, 'invalid_token');
  await appendAudit(sql, eventOf('auth.refresh', request, row, { grace: true }));
  return {
    tenantId: request.tenantId,
    sessionId: row.session_id,
    refreshToken: successor,
    refreshExpiresAt: next.expires_at.getTime(),
  };
}

async function endStolenSession(sql: Sql, request: Rotation, row: TokenRow): Promise<Outcome> {
  const target = { tenantId: request.tenantId, kind: 'session', id: row.session_id } as const;
  await appendAudit(sql, { ...eventOf('auth.refresh_reuse', request, row), success: false, code: 'revoked' });
  return { refusal: new AppError('revoked'), revoked: await endSessions(sql, target, 'refresh_reuse') };
}

/** The audit row of a refusal is committed; the refusal is thrown after that. */
async function refuse(
  sql: Sql,
  request: Rotation,
  row: TokenRow | undefined,
  code: 'invalid_token' | 'revoked' | 'token_expired' | 'forbidden',
): Promise<Outcome> {
  if (row === undefined && request.isOver === true) return { refusal: new AppError(code), revoked: [] };
  // an unknown token could name any tenant: only a known one writes into a tenant's log
  const tenantId = row === undefined ? 1 : request.tenantId;
  await appendAudit(sql, { ...eventOf('auth.refresh', request, row), tenantId, success: false, code });
  return { refusal: new AppError(code), revoked: [] };
}

async function findToken(
  sql: Sql,
  { tenantId, refreshToken }: { tenantId: number; refreshToken: string },
): Promise<TokenRow | undefined> {
  const [row] = await sql<TokenRow>(
    `SELECT t.session_id, t.expires_at, t.used_at, t.successor, s.client_id, s.dpop_jkt, s.scopes AS session_scopes,
            s.principal_kind || ':' || s.principal_id AS principal, s.expires_at AS session_expires_at,
            s.revoked_at IS NOT NULL AS revoked
     FROM refresh_tokens t JOIN sessions s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
     WHERE t.tenant_id = $1 AND t.hash = $2`,
    [tenantId, sha256(refreshToken)],
  );
  return row;
}

function eventOf(
  action: string,
  request: Rotation,
  row: TokenRow | undefined,
  details: Record<string, unknown> = {},
): AuditEvent {
  return {
    tenantId: request.tenantId,
    action,
    principal: row?.principal ?? null,
    success: true,
    ip: request.caller.ip,
    requestId: request.caller.requestId,
    details: { ...details, ...(row === undefined ? {} : { session: row.session_id }) },
  };
}
