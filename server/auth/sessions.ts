import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { auditInsert, encodeAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import { prepare } from '../db.ts';
import type { Sql } from '../db.ts';
import { signAccessToken } from './access-token.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createRefreshToken, sha256 } from './opaque.ts';
import type { SessionState } from './session-states.ts';

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

const ASKED = '(tenant_id, id) IN (SELECT tenant_id, principal_id FROM asked)';

/** In one order, so that two groups never wait for each other. */
const LIVE_PRINCIPALS = {
  user: `FROM users WHERE ${ASKED} AND disabled_at IS NULL AND verified_at IS NOT NULL ORDER BY tenant_id, id FOR SHARE`,
  // one at a time: whoever comes next counts this session against the device's cap (S19)
  device: `FROM devices WHERE ${ASKED} AND disabled_at IS NULL ORDER BY tenant_id, id FOR NO KEY UPDATE`,
  client: `FROM oauth_clients WHERE ${ASKED} AND disabled_at IS NULL ORDER BY tenant_id, id FOR SHARE`,
};

/** One statement, for one session as for many: a login is one round trip, not three. */
const open = (kind: SessionRequest['kind'], also = ''): string => `
  WITH asked AS (
    SELECT * FROM json_to_recordset($1) AS asked (
      tenant_id integer, id uuid, principal_kind text, principal_id uuid, client_id text, scopes text[], app text, ip text,
      user_agent text, opened_at timestamptz, authenticated_at timestamptz, expires_at timestamptz, amr text[], dpop_jkt text,
      token_hash text, token_expires_at timestamptz)),
  live AS (SELECT tenant_id, id ${LIVE_PRINCIPALS[kind]}),
  session AS (
    INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, client_id, scopes, app, ip, user_agent,
                          created_at, last_used_at, authenticated_at, expires_at, amr, dpop_jkt)
    SELECT tenant_id, asked.id, principal_kind, principal_id, client_id, scopes, app, ip, user_agent,
           opened_at, opened_at, authenticated_at, expires_at, amr, dpop_jkt
    FROM asked JOIN live USING (tenant_id) WHERE live.id = asked.principal_id RETURNING tenant_id, id)${also}
  INSERT INTO refresh_tokens (tenant_id, hash, session_id, created_at, expires_at)
  SELECT tenant_id, decode(token_hash, 'hex'), id, opened_at, token_expires_at
  FROM asked JOIN session USING (tenant_id, id) RETURNING session_id`;
const OPEN = { user: open('user'), device: open('device'), client: open('client') };

const AUDIT = auditInsert('$2', " JOIN session ON session.id::text = event.details ->> 'session'");
const OPEN_CLIENTS = prepare('open-clients', open('client', `, audit AS (${AUDIT})`));

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
  await core.addressRules.requireAllowed(request.tenantId, request.caller, sql);
  const session = prepareSession(core, request);
  const opened = await sql(OPEN[request.kind], [JSON.stringify([toRow(request, session)])]);
  if (opened.length === 0) throw new AppError('invalid_credentials');
  return session;
}

/** A client's session, with what is written of it to the audit log; `details.session` is its id. */
export interface ClientSession {
  request: SessionRequest & { kind: 'client' };
  session: PreparedSession;
  event: AuditEvent;
}

/**
 * Opens sessions of OAuth clients and writes their audit rows, in one statement, which is its own transaction. The address rules
 * have been asked. Says of each whether it is open: not when its client is disabled.
 */
export async function openClientSessions(sql: Sql, clients: readonly ClientSession[]): Promise<boolean[]> {
  const rows = await sql<{ session_id: string }>(OPEN_CLIENTS, [
    JSON.stringify(clients.map(({ request, session }) => toRow(request, session))),
    encodeAudit(...clients.map(({ event }) => event)),
  ]);
  const opened = new Set(rows.map(({ session_id }) => session_id));
  return clients.map(({ session }) => opened.has(session.sessionId));
}

/** A session that is yet to be opened. */
export interface PreparedSession extends OpenedSession {
  openedAt: number;
  /** Absolute end, in epoch milliseconds. */
  expiresAt: number;
}

export function prepareSession(
  core: Pick<IdentityCore, 'clock' | 'config'>,
  { tenantId }: Pick<SessionRequest, 'tenantId'>,
): PreparedSession {
  const openedAt = core.clock();
  const expiresAt = openedAt + core.config.SESSION_MAX_LIFETIME * 1_000;
  return {
    tenantId,
    sessionId: randomUUID(),
    refreshToken: createRefreshToken(tenantId),
    refreshExpiresAt: refreshEnd(core, expiresAt),
    openedAt,
    expiresAt,
  };
}

function toRow(request: SessionRequest, session: PreparedSession): Record<string, unknown> {
  const { caller, authenticatedAt = session.openedAt } = request;
  return {
    tenant_id: request.tenantId,
    id: session.sessionId,
    principal_kind: request.kind,
    principal_id: request.id,
    client_id: request.clientId,
    scopes: request.scopes,
    app: request.app,
    ip: caller.ip,
    user_agent: caller.userAgent?.slice(0, 300),
    opened_at: new Date(session.openedAt),
    authenticated_at: new Date(authenticatedAt),
    expires_at: new Date(session.expiresAt),
    amr: request.amr,
    dpop_jkt: request.dpopJkt,
    token_hash: sha256(session.refreshToken).toString('hex'),
    token_expires_at: new Date(session.refreshExpiresAt),
  };
}

/** Sliding life, capped by the session's absolute end (S17). */
function refreshEnd(core: Pick<IdentityCore, 'clock' | 'config'>, sessionEnd: number): number {
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

/** What an access token says of its session and its principal. */
export type MintState = Pick<SessionState, 'id' | 'clientId' | 'roles' | 'scopes' | 'expiresAt' | 'dpopJkt'>;

/**
 * Mints an access token for a committed session. `scope` narrows this token only; `state` is what the database has just said, when
 * the caller has asked it. Throws `revoked` when the session ended meanwhile.
 */
export async function mint(
  core: IdentityCore,
  session: OpenedSession,
  { scope, state }: { scope?: readonly string[] | undefined; state?: MintState } = {},
): Promise<TokenSet> {
  const { id, clientId, roles, scopes, expiresAt, dpopJkt } = state ?? (await loadUsable(core, session));
  if (core.revocations.isRevoked(session.sessionId)) throw new AppError('revoked');
  const now = core.clock();
  const granted = [...scopes].filter((name) => scope === undefined || scope.includes(name)).join(' ');
  const issuedAt = Math.floor(now / 1_000);
  const exp = Math.min(issuedAt + core.config.JWT_EXPIRES_IN, Math.floor(expiresAt / 1_000));
  const accessToken = await signAccessToken(core, {
    tid: session.tenantId,
    sid: session.sessionId,
    sub: id,
    client_id: clientId ?? 'sluice',
    scope: granted,
    roles: [...roles],
    exp,
    ...(dpopJkt === null ? {} : { cnf: { jkt: dpopJkt } }),
  });
  return {
    accessToken,
    expiresIn: exp - issuedAt,
    scope: granted,
    refreshToken: session.refreshToken,
    refreshExpiresIn: Math.max(0, Math.round((session.refreshExpiresAt - now) / 1_000)),
    sessionId: session.sessionId,
    tokenType: dpopJkt === null ? 'Bearer' : 'DPoP',
  };
}

async function loadUsable(core: IdentityCore, { tenantId, sessionId }: OpenedSession): Promise<SessionState> {
  const state = await core.states.load(tenantId, sessionId);
  if (state?.usable !== true) throw new AppError('revoked');
  return state;
}

/**
 * Keeps a person's session from ending until the transaction is over, so that what it does is there for whoever ends it to see; and
 * the person, one such transaction at a time. Returns how the session was last proved. Throws `revoked` when it has ended (S18).
 */
export async function holdSession(
  sql: Sql,
  { tenantId, userId, sessionId }: { tenantId: number; userId: string; sessionId: string },
): Promise<{ amr: string[] }> {
  // the person before the session, as whoever ends sessions does
  await sql('SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE', [tenantId, userId]);
  const [live] = await sql<{ amr: string[] }>(
    'SELECT amr FROM sessions WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL FOR SHARE',
    [tenantId, sessionId],
  );
  if (live === undefined) throw new AppError('revoked');
  return live;
}
