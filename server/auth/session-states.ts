import { AppError } from '../../protocol/errors.ts';
import { isUnavailable, prepare } from '../db.ts';
import type { Sql } from '../db.ts';
import { createAddressCheck } from './ip-allow-list.ts';
import { parseGrants, principalKey } from './principal.ts';
import type { Grants } from './principal.ts';
import { grantsOfRole, scopesOfRole } from './roles.ts';
import { createStateCache } from './state-cache.ts';

/** What the database says now about a session and its principal. */
export interface SessionState {
  tenantId: number;
  sessionId: string;
  kind: 'user' | 'device' | 'client';
  id: string;
  name: string;
  /** What a person wants to be called, where that is another name. */
  displayName: string | null;
  /** Public id of the OAuth client the session belongs to; null for the gateway's own programs. */
  clientId: string | null;
  roles: readonly string[];
  /** What the session may do now: its principal's scopes, narrowed to what it was opened for. */
  scopes: ReadonlySet<string>;
  grants: Grants;
  /** Not revoked, and its principal neither disabled nor gone. */
  usable: boolean;
  /** Absolute end of the session, in epoch milliseconds. */
  expiresAt: number;
  /** When its principal last proved who they are, in epoch milliseconds, and how (RFC 8176). */
  authenticatedAt: number;
  amr: readonly string[];
  /** Thumbprint of the key its tokens are bound to; null: of none. */
  dpopJkt: string | null;
  allowsAddress(address: string | undefined): boolean;
  ratePerMinute: number | null;
  /** What its role, one of its tenant's own, has been given; null: nothing. */
  roleRate: number | null;
}

export interface SessionStates {
  /** The session's state, at most TTL_MS old; undefined when there is no such session. */
  load(tenantId: number, sessionId: string): Promise<SessionState | undefined>;
  forgetSession(tenantId: number, sessionId: string): void;
  /** `key` as `principalKey` makes it. */
  forgetPrincipal(tenantId: number, key: string): void;
}

/** Changes are announced and polled; this bounds the staleness should both be lost (P7: 10 s). */
const TTL_MS = 5_000;
const MAX_CACHED = 50_000;

/** Caches session states by session id. */
export function createSessionStates(sql: Sql, clock: () => number): SessionStates {
  const cache = createStateCache<SessionState>({
    find: (tenantId, sessionId) => findState(sql, tenantId, sessionId),
    principalOf: principalKey,
    ttlMs: TTL_MS,
    max: MAX_CACHED,
    clock,
  });
  return { load: cache.load, forgetSession: cache.forget, forgetPrincipal: cache.forgetPrincipal };
}

interface StateRow {
  principal_kind: 'user' | 'device' | 'client';
  principal_id: string;
  client_id: string | null;
  scopes: string[] | null;
  expires_at: Date;
  authenticated_at: Date;
  amr: string[];
  dpop_jkt: string | null;
  session_ok: boolean;
  principal_ok: boolean;
  name: string | null;
  display_name: string | null;
  role: string | null;
  role_scopes: string[] | null;
  role_rate: number | null;
  principal_scopes: string[] | null;
  partitions: string[] | null;
  ip_allow_list: string[] | null;
  rate_per_minute: number | null;
}

const FIND = prepare(
  'session-state',
  `
  SELECT s.principal_kind, s.principal_id, s.client_id, s.scopes, s.expires_at, s.authenticated_at, s.amr,
         s.dpop_jkt, s.revoked_at IS NULL AS session_ok,
         CASE s.principal_kind WHEN 'user' THEN u.id IS NOT NULL AND u.disabled_at IS NULL AND u.verified_at IS NOT NULL
                               WHEN 'device' THEN d.id IS NOT NULL AND d.disabled_at IS NULL
                               ELSE c.id IS NOT NULL AND c.disabled_at IS NULL END AS principal_ok,
         coalesce(u.username, c.name, d.name, 'device ' || left(d.id::text, 8)) AS name, u.display_name, u.role, r.scopes AS role_scopes,
         r.rate_limit AS role_rate,
         c.scopes AS principal_scopes,
         coalesce(u.partitions, c.partitions, d.partitions) AS partitions, c.ip_allow_list, c.rate_per_minute
  FROM sessions s
  LEFT JOIN users u ON s.principal_kind = 'user' AND u.tenant_id = s.tenant_id AND u.id = s.principal_id
  LEFT JOIN roles r ON r.tenant_id = u.tenant_id AND r.name = u.role
  LEFT JOIN oauth_clients c ON s.principal_kind = 'client' AND c.tenant_id = s.tenant_id AND c.id = s.principal_id
  LEFT JOIN devices d ON s.principal_kind = 'device' AND d.tenant_id = s.tenant_id AND d.id = s.principal_id
  WHERE s.tenant_id = $1 AND s.id = $2`,
);

async function findState(sql: Sql, tenantId: number, sessionId: string): Promise<SessionState | undefined> {
  try {
    const [row] = await sql<StateRow>(FIND, [tenantId, sessionId]);
    return row === undefined ? undefined : toState(row, tenantId, sessionId);
  } catch (error) {
    throw isUnavailable(error) ? new AppError('unavailable', { cause: error }) : error;
  }
}

function toState(row: StateRow, tenantId: number, sessionId: string): SessionState {
  const kind = row.principal_kind;
  const role = { user: row.role ?? 'member', device: 'anonymous', client: 'service' }[kind];
  const live = kind === 'client' ? (row.principal_scopes ?? []) : scopesOfRole(role, row.role_scopes);
  const partitions = row.partitions ?? [];
  return {
    tenantId,
    sessionId,
    kind,
    id: row.principal_id,
    name: row.name ?? '',
    displayName: row.display_name,
    clientId: row.client_id,
    roles: [role],
    scopes: new Set(row.scopes === null ? live : live.filter((scope) => row.scopes?.includes(scope))),
    grants: parseGrants(grantsOfRole(role, partitions)),
    usable: row.session_ok && row.principal_ok,
    expiresAt: row.expires_at.getTime(),
    authenticatedAt: row.authenticated_at.getTime(),
    amr: row.amr,
    dpopJkt: row.dpop_jkt,
    allowsAddress: createAddressCheck(row.ip_allow_list ?? []),
    ratePerMinute: row.rate_per_minute,
    roleRate: row.role_rate,
  };
}
