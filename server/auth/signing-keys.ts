import { AppError } from '../../protocol/errors.ts';
import { isAdminKey } from './admin-key.ts';
import { auditAct } from './audit-act.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { NextKey } from './key-ring.ts';
import type { Principal } from './principal.ts';

/**
 * Puts another signing key in place of the present one, on every node: it is published at once and signs when each cache of the JWKS
 * has it, or `immediately`. While one waits for that, no other is made. Tokens that were signed before are good until they expire.
 * Keys belong to the installation, as their events do: only the admin key and administrators of the first tenant may. Throws
 * `forbidden`; `nothing_to_rotate` with JWT_SECRET.
 */
export async function rotateSigningKey(
  core: IdentityCore,
  by: Principal,
  { immediately }: { immediately: boolean },
  caller: Caller,
): Promise<NextKey> {
  if (by.tenantId !== PEOPLE_TENANT && !isAdminKey(by)) {
    const message = 'The signing keys belong to the whole installation: only its own administrators may.';
    throw new AppError('forbidden', { message });
  }
  if (core.tokens.algorithm === 'HS256') throw new AppError('nothing_to_rotate');
  const key = await core.keys.rotate({
    immediately,
    inside: (sql, { kid, made }) =>
      auditAct(sql, { ...by, tenantId: PEOPLE_TENANT }, caller, {
        action: 'key.rotated',
        details: { kid, made, immediately },
      }),
  });
  core.revocations.announceKeys();
  return key;
}
