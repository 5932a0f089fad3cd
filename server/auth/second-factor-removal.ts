import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { factorsRemovedMail } from '../mail-texts.ts';
import { MAIL_JOB } from './accounts.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl } from './granting.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';
import { findFactors } from './second-factors.ts';
import type { Person } from './second-factors.ts';
import { findHoldings, requireMayTouchOwner, requireUser } from './user-admin.ts';

/** What was turned off, and how many sessions ended with it. */
export interface RemovedFactors {
  totp: boolean;
  passkeys: number;
  ended: number;
}

/**
 * For somebody who has lost their second factor and the recovery codes: an administrator turns off all of it, after which the
 * password alone logs in. It ends the person's sessions, and the person is told. Whoever does it must hold what the person holds, only
 * an owner does it to an owner, and nobody to themselves: one's own takes a code (S38, S54). Throws `not_found`, `forbidden`,
 * `forbidden_partition`.
 */
export async function removeSecondFactors(
  core: IdentityCore,
  by: Principal,
  id: string,
  caller: Caller,
): Promise<RemovedFactors> {
  const { tenantId } = by;
  if (by.kind === 'user' && by.id === id)
    throw new AppError('forbidden', { message: 'Your own second factor is turned off in your account.' });
  const { removed, sessions } = await core.db.transaction(async ({ sql }) => {
    // the tenant's row: nobody is given another role meanwhile
    await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
    const user = await requireUser(sql, tenantId, id);
    requireMayControl(by, await findHoldings(sql, tenantId, user));
    await requireMayTouchOwner(sql, by, user.role);
    // before the factors: one that is being added holds its session until it can be seen here (see `holdSession`)
    const cause = { reason: 'second_factors_removed', by: principalKey(by), caller };
    const ended = await revokeSessions(sql, { tenantId, kind: 'user', id }, cause);
    const factors = await deleteFactors(sql, { tenantId, userId: id });
    await auditAct(sql, by, caller, {
      action: 'user.second_factors_removed',
      details: { user: id, ...factors },
    });
    const payload = factorsRemovedMail(user, by.name, core.issuer());
    await core.jobs.enqueue(sql, { tenantId, kind: MAIL_JOB, payload });
    return { removed: factors, sessions: ended };
  });
  core.revocations.announceRevoked(tenantId, sessions);
  core.jobs.wake();
  return { ...removed, ended: sessions.length };
}

/** Also what is half done: a secret that is not confirmed, a login that waits for its second step. */
async function deleteFactors(sql: Sql, person: Person): Promise<Pick<RemovedFactors, 'totp' | 'passkeys'>> {
  const { totp, passkeys } = await findFactors(sql, person);
  if (!totp && passkeys === 0)
    throw new AppError('not_found', { message: 'This person has no second factor.' });
  for (const table of ['totp_secrets', 'passkeys', 'recovery_codes', 'mfa_tokens'])
    await sql(`DELETE FROM ${table} WHERE tenant_id = $1 AND user_id = $2`, [person.tenantId, person.userId]);
  return { totp, passkeys };
}
