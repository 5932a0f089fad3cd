import { AppError } from '../../protocol/errors.ts';
import { dataPath } from '../config.ts';
import type { Config } from '../config.ts';
import { sameDigest, sha256 } from './opaque.ts';
import type { Principal } from './principal.ts';
import { readOrCreateSecret } from './stored-secret.ts';

/** The installation's admin key: INTERNAL_API_KEY, else DATA_DIR/admin.key. Only its SHA-256 stays in memory. */
export interface AdminKey {
  /** Throws `unauthenticated` when the key is wrong. */
  authenticate(key: string, tenantId: number): Principal;
  /** Where a person finds it: a file, or undefined when it came from the environment. */
  file: string | undefined;
}

const NIL = '00000000-0000-0000-0000-000000000000';

export async function openAdminKey(config: Config): Promise<AdminKey> {
  const file = config.INTERNAL_API_KEY === undefined ? dataPath(config, 'admin.key') : undefined;
  const expected = sha256(
    config.INTERNAL_API_KEY ?? (await readOrCreateSecret(dataPath(config, 'admin.key'))),
  );
  return {
    file,
    authenticate(key, tenantId) {
      if (!sameDigest(sha256(key), expected)) throw new AppError('unauthenticated');
      return {
        tenantId,
        kind: 'api_key',
        id: NIL,
        name: 'admin key',
        sessionId: NIL,
        scopes: new Set(['admin']),
        grants: { read: new Set(['*']), write: new Set(['*']) },
        expiresAt: Number.MAX_SAFE_INTEGER,
      };
    },
  };
}
