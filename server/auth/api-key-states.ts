import { AppError } from '../../protocol/errors.ts';
import { isUnavailable } from '../db.ts';
import type { Sql } from '../db.ts';
import { parseGrants, principalKey } from './principal.ts';
import type { Grants } from './principal.ts';
import { createStateCache } from './state-cache.ts';

/** What the database says now about an API key and one of its secrets. */
export interface ApiKeyState {
  tenantId: number;
  id: string;
  /** Its owner's. */
  name: string;
  /** SHA-256 of the whole key. */
  hash: Buffer;
  scopes: ReadonlySet<string>;
  grants: Grants;
  rateLimit: number | null;
  /** Neither revoked nor switched off, nor its owner. */
  usable: boolean;
  /** End of the key or of this secret, whichever comes first, in epoch milliseconds; null: none. */
  expiresAt: number | null;
  /** Epoch milliseconds; as of the last look. */
  lastUsedAt: number;
}

/** Where a key is looked up: its tenant, and the part of it that is no secret. */
export interface KeyPlace {
  tenantId: number;
  prefix: string;
}

export interface ApiKeyStates {
  /** What is known without a look into the database. */
  peek(place: KeyPlace): ApiKeyState | undefined;
  /** At most TTL_MS old, and never older than the last `forget`; undefined when there is no such key. */
  load(place: KeyPlace): Promise<ApiKeyState | undefined>;
  /** `key` as `principalKey` makes it. */
  forget(tenantId: number, key: string): void;
}

/** As with sessions: changes are announced and polled; this bounds the staleness should both be lost (P7). */
const TTL_MS = 5_000;
const MAX_CACHED = 20_000;

/** Caches the states of keys that exist, by the prefix of their secret: whoever names one has yet to prove it. */
export function createApiKeyStates(sql: Sql, clock: () => number): ApiKeyStates {
  const cache = createStateCache<ApiKeyState>({
    find: (tenantId, prefix) => findState(sql, { tenantId, prefix }),
    principalOf: ({ id }) => principalKey({ kind: 'api_key', id }),
    ttlMs: TTL_MS,
    max: MAX_CACHED,
    clock,
  });
  return {
    peek: ({ tenantId, prefix }) => cache.peek(tenantId, prefix),
    load: ({ tenantId, prefix }) => cache.load(tenantId, prefix),
    forget: cache.forgetPrincipal,
  };
}

interface StateRow {
  id: string;
  name: string;
  hash: Buffer;
  permissions: string[];
  partitions: string[];
  rate_limit: number | null;
  usable: boolean;
  expires_at: Date | null;
  last_used_at: Date | null;
}

const FIND = `
  SELECT k.id, c.name, s.hash, k.permissions, k.partitions, k.rate_limit, k.last_used_at,
         k.revoked_at IS NULL AND k.disabled_at IS NULL AND c.disabled_at IS NULL AS usable,
         least(k.expires_at, s.expires_at) AS expires_at
  FROM api_key_secrets s
  JOIN api_keys k ON k.tenant_id = s.tenant_id AND k.id = s.api_key_id
  JOIN clients c ON c.tenant_id = k.tenant_id AND c.id = k.client_id
  WHERE s.tenant_id = $1 AND s.prefix = $2`;

async function findState(sql: Sql, { tenantId, prefix }: KeyPlace): Promise<ApiKeyState | undefined> {
  try {
    const [row] = await sql<StateRow>(FIND, [tenantId, prefix]);
    return row === undefined ? undefined : toState(row, tenantId);
  } catch (error) {
    throw isUnavailable(error) ? new AppError('unavailable', { cause: error }) : error;
  }
}

function toState(row: StateRow, tenantId: number): ApiKeyState {
  return {
    tenantId,
    id: row.id,
    name: row.name,
    hash: row.hash,
    scopes: new Set(row.permissions),
    grants: parseGrants(row.partitions),
    rateLimit: row.rate_limit,
    usable: row.usable,
    expiresAt: row.expires_at?.getTime() ?? null,
    lastUsedAt: row.last_used_at?.getTime() ?? 0,
  };
}
