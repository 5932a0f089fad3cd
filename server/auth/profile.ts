import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { deactivatedMail } from '../mail-texts.ts';
import { auditAct } from './audit-act.ts';
import { MAIL_JOB } from './accounts.ts';
import type { Caller, IdentityCore } from './core.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';
import { requireAnotherOwner } from './user-admin.ts';

/** What people see and change of themselves. */

export interface ProfileView {
  id: string;
  username: string;
  email: string;
  display_name: string | null;
  role: string;
  created_at: Date;
}

export async function requireProfile(sql: Sql, tenantId: number, id: string): Promise<ProfileView> {
  const [row] = await sql<ProfileView>(
    'SELECT id, username, email, display_name, role, created_at FROM users WHERE tenant_id = $1 AND id = $2',
    [tenantId, id],
  );
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such person.' });
  return row;
}

/** Changes the name a person is shown by; null: the username. */
export async function changeProfile(
  core: IdentityCore,
  person: Principal,
  changes: { displayName: string | null },
  caller: Caller,
): Promise<ProfileView> {
  const { tenantId, id } = person;
  const profile = await core.db.transaction(async ({ sql }) => {
    await sql(
      `UPDATE users SET display_name = $3, changed_at = clock_timestamp() WHERE tenant_id = $1 AND id = $2`,
      [tenantId, id, changes.displayName],
    );
    await auditAct(sql, person, caller, {
      action: 'user.profile_changed',
      details: { fields: ['display_name'] },
    });
    return requireProfile(sql, tenantId, id);
  });
  // what is remembered of the person has the name too
  core.revocations.announceChanged(tenantId, principalKey(person));
  return profile;
}

/**
 * A person closes their account: it is disabled, its sessions and sockets end. An administrator can enable it again. Throws
 * `forbidden` to the last owner.
 */
export async function deactivate(core: IdentityCore, person: Principal, caller: Caller): Promise<void> {
  const { tenantId, id } = person;
  const by = principalKey(person);
  const ended = await core.db.transaction(async ({ sql }) => {
    // the tenant's row serialises changes of owners
    await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
    const profile = await requireProfile(sql, tenantId, id);
    await requireAnotherOwner(sql, tenantId, profile);
    await sql(
      `UPDATE users SET disabled_at = coalesce(disabled_at, $3), changed_at = clock_timestamp()
       WHERE tenant_id = $1 AND id = $2`,
      [tenantId, id, new Date(core.clock())],
    );
    const mail = deactivatedMail(profile, core.issuer());
    await core.jobs.enqueue(sql, { tenantId, kind: MAIL_JOB, payload: mail });
    return revokeSessions(sql, { tenantId, kind: 'user', id }, { reason: 'deactivated', by, caller });
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.revocations.announceChanged(tenantId, by);
  core.jobs.wake();
}
