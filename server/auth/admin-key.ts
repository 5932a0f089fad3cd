import { dataPath, servesIdentity } from '../config.ts';
import type { Config } from '../config.ts';
import { sameDigest, sha256 } from './opaque.ts';
import type { Principal } from './principal.ts';
import { readOrCreateSecret, readSecret } from './stored-secret.ts';

/** The installation's admin key: INTERNAL_API_KEY, else DATA_DIR/admin.key. Only its SHA-256 stays in memory. */
export interface AdminKey {
  /** The key as a principal of the tenant; undefined when it is another. */
  find(key: string, tenantId: number): Principal | undefined;
  /** Where a person finds it: a file, or undefined when it came from the environment. */
  file: string | undefined;
}

/** Stands where there is no session. */
export const NIL = '00000000-0000-0000-0000-000000000000';
/** The end of what has none: a moment that every date can still tell. */
export const NEVER = Date.UTC(9999, 11, 31);

/** Whether it is the installation's own key, which stands above tenants, and not one of theirs. */
export function isAdminKey({ kind, id }: Pick<Principal, 'kind' | 'id'>): boolean {
  return kind === 'api_key' && id === NIL;
}

export async function openAdminKey(config: Config): Promise<AdminKey> {
  const path = dataPath(config, 'admin.key');
  // one is made where clients are registered: another process must not have one of its own
  const read = servesIdentity(config) ? readOrCreateSecret : readSecret;
  const secret = config.INTERNAL_API_KEY ?? (await read(path));
  const expected = secret === undefined ? undefined : sha256(secret);
  return {
    file: config.INTERNAL_API_KEY === undefined && secret !== undefined ? path : undefined,
    find(key, tenantId) {
      if (expected === undefined || !sameDigest(sha256(key), expected)) return undefined;
      return {
        tenantId,
        kind: 'api_key',
        id: NIL,
        name: 'admin key',
        sessionId: NIL,
        scopes: new Set(['admin']),
        grants: { read: new Set(['*']), write: new Set(['*']) },
        expiresAt: NEVER,
      };
    },
  };
}
