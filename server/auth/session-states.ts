import { AppError } from '../../protocol/errors.ts';
import { isUnavailable } from '../db.ts';
import type { Sql } from '../db.ts';
import { createAddressCheck } from './ip-allow-list.ts';
import { parseGrants, principalKey } from './principal.ts';
import type { Grants } from './principal.ts';
import { grantsOfRole, scopesOfRole } from './roles.ts';

/** What the database says now about a session and its principal. */
export interface SessionState {
  tenantId: number;
  sessionId: string;
  kind: 'user' | 'client';
  id: string;
  name: string;
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
  allowsAddress(address: string | undefined): boolean;
  ratePerMinute: number | null;
}

export interface SessionStates {
  /** The session's state, at most TTL_MS old; undefined when there is no such session. */
  load(tenantId: number, sessionId: string): Promise<SessionState | undefined>;
  forgetSession(sessionId: string): void;
  /** `key` as `principalKey` makes it. */
  forgetPrincipal(tenantId: number, key: string): void;
}

/** Changes are announced and polled; this bounds the staleness should both be lost (P7: 10 s). */
const TTL_MS = 5_000;
const MAX_CACHED = 50_000;

interface Entry {
  state: Promise<SessionState | undefined>;
  settled: SessionState | undefined;
  tenantId: number;
  until: number;
}

/** Caches session states by session id. An entry forgotten while it loads is not stored. */
export function createSessionStates(sql: Sql, clock: () => number): SessionStates {
  const entries = new Map<string, Entry>();
  const store = (tenantId: number, sessionId: string): Promise<SessionState | undefined> => {
    const state = findState(sql, tenantId, sessionId);
    const entry: Entry = { state, settled: undefined, tenantId, until: clock() + TTL_MS };
    entries.delete(sessionId);
    if (entries.size >= MAX_CACHED) entries.delete(entries.keys().next().value ?? '');
    entries.set(sessionId, entry);
    state.then(
      (settled) => (entry.settled = settled),
      () => {
        if (entries.get(sessionId) === entry) entries.delete(sessionId);
      },
    );
    return state;
  };
  return {
    load(tenantId, sessionId) {
      const entry = entries.get(sessionId);
      const fresh = entry?.tenantId === tenantId && entry.until > clock();
      return fresh ? entry.state : store(tenantId, sessionId);
    },
    forgetSession: (sessionId) => void entries.delete(sessionId),
    forgetPrincipal(tenantId, key) {
      for (const [sessionId, entry] of entries) {
        // one that is still loading may have read the old row
        const matches = entry.settled === undefined || principalKey(entry.settled) === key;
        if (entry.tenantId === tenantId && matches) entries.delete(sessionId);
      }
    },
  };
}

interface StateRow {
  principal_kind: 'user' | 'client';
  principal_id: string;
  client_id: string | null;
  scopes: string[] | null;
  expires_at: Date;
  session_ok: boolean;
  principal_ok: boolean;
  name: string | null;
  role: string | null;
  principal_scopes: string[] | null;
  partitions: string[] | null;
  ip_allow_list: string[] | null;
  rate_per_minute: number | null;
}

const FIND = `
  SELECT s.principal_kind, s.principal_id, s.client_id, s.scopes, s.expires_at, s.revoked_at IS NULL AS session_ok,
         CASE s.principal_kind WHEN 'user' THEN u.id IS NOT NULL AND u.disabled_at IS NULL AND u.verified_at IS NOT NULL
                               ELSE c.id IS NOT NULL AND c.disabled_at IS NULL END AS principal_ok,
         coalesce(u.username, c.name) AS name, u.role, c.scopes AS principal_scopes,
         coalesce(u.partitions, c.partitions) AS partitions, c.ip_allow_list, c.rate_per_minute
  FROM sessions s
  LEFT JOIN users u ON s.principal_kind = 'user' AND u.tenant_id = s.tenant_id AND u.id = s.principal_id
  LEFT JOIN oauth_clients c ON s.principal_kind = 'client' AND c.tenant_id = s.tenant_id AND c.id = s.principal_id
  WHERE s.tenant_id = $1 AND s.id = $2`;

async function findState(sql: Sql, tenantId: number, sessionId: string): Promise<SessionState | undefined> {
  try {
    const [row] = await sql<StateRow>(FIND, [tenantId, sessionId]);
    return row === undefined ? undefined : toState(row, tenantId, sessionId);
  } catch (error) {
    throw isUnavailable(error) ? new AppError('unavailable', { cause: error }) : error;
  }
}

function toState(row: StateRow, tenantId: number, sessionId: string): SessionState {
  const role = row.role ?? 'member';
  const isUser = row.principal_kind === 'user';
  const live = isUser ? scopesOfRole(role) : (row.principal_scopes ?? []);
  const partitions = row.partitions ?? [];
  return {
    tenantId,
    sessionId,
    kind: row.principal_kind,
    id: row.principal_id,
    name: row.name ?? '',
    clientId: row.client_id,
    roles: isUser ? [role] : ['service'],
    scopes: new Set(row.scopes === null ? live : live.filter((scope) => row.scopes?.includes(scope))),
    grants: parseGrants(isUser ? grantsOfRole(role, partitions) : partitions),
    usable: row.session_ok && row.principal_ok,
    expiresAt: row.expires_at.getTime(),
    allowsAddress: createAddressCheck(row.ip_allow_list ?? []),
    ratePerMinute: row.rate_per_minute,
  };
}
