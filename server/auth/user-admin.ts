import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import { isAdminKey } from './admin-key.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant } from './granting.ts';
import type { Holdings } from './granting.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';
import { findRoleScopes, requireRoleOfPeople } from './role-look-up.ts';
import { grantsOfRole } from './roles.ts';

/** Administrators' view of people, and what they may change. Always in the tenant of `by`. */

export interface UserView {
  id: string;
  username: string;
  displayName: string | null;
  email: string;
  role: string;
  partitions: string[];
  verified: boolean;
  disabled: boolean;
  createdAt: Date;
}

export interface UserChanges {
  role?: string | undefined;
  partitions?: string[] | undefined;
  disabled?: boolean | undefined;
}

const COLUMNS = `id, username, display_name AS "displayName", email, role, partitions, verified_at IS NOT NULL AS verified,
                 disabled_at IS NOT NULL AS disabled, created_at AS "createdAt"`;

/** People of the tenant in the order of their names, at most 200 after the given id's name. */
export async function listUsers(
  core: IdentityCore,
  tenantId: number,
  page: { after?: string | undefined; limit: number },
): Promise<UserView[]> {
  return core.db.sql<UserView>(
    `SELECT ${COLUMNS} FROM users
     WHERE tenant_id = $1 AND ($2::uuid IS NULL OR username_key > (SELECT username_key FROM users
                                                                  WHERE tenant_id = $1 AND id = $2))
     ORDER BY username_key LIMIT $3`,
    [tenantId, page.after ?? null, page.limit],
  );
}

/**
 * Changes role, grants or state. Only an owner (or the admin key) may make, change or disable an owner, and the last one stays.
 * Whoever changes a person must hold what that person holds before and after (S54).
 * Disabling ends the person's sessions in the same transaction. Throws `not_found`, `forbidden`, `forbidden_partition`;
 * `invalid_request` for a role that there is not.
 */
export async function changeUser(
  core: IdentityCore,
  by: Principal,
  change: { id: string; changes: UserChanges },
  caller: Caller,
): Promise<UserView> {
  const { id, changes } = change;
  const { tenantId } = by;
  const { view, ended } = await core.db.transaction(async ({ sql }) => {
    // the tenant's row serialises changes of owners
    await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
    const before = await requireUser(sql, tenantId, id);
    if (changes.role !== undefined) await requireRoleOfPeople(sql, tenantId, changes.role);
    requireMayControl(by, await findHoldings(sql, tenantId, before));
    const { role = before.role, partitions = before.partitions } = changes;
    requireMayGrant(by, await findHoldings(sql, tenantId, { role, partitions }));
    await requireMayChange(sql, by, before, changes);
    await sql(
      `UPDATE users SET role = coalesce($3, role), partitions = coalesce($4, partitions),
              disabled_at = CASE WHEN $5::boolean THEN coalesce(disabled_at, $6::timestamptz)
                                 WHEN NOT $5 THEN NULL ELSE disabled_at END,
              changed_at = clock_timestamp()
       WHERE tenant_id = $1 AND id = $2`,
      [
        tenantId,
        id,
        changes.role ?? null,
        changes.partitions ?? null,
        changes.disabled ?? null,
        new Date(core.clock()),
      ],
    );
    await auditAct(sql, by, caller, { action: 'user.changed', details: { user: id, ...changes } });
    const cause = { reason: 'user_disabled', by: principalKey(by), caller };
    const sessions =
      changes.disabled === true ? await revokeSessions(sql, { tenantId, kind: 'user', id }, cause) : [];
    return { view: await requireUser(sql, tenantId, id), ended: sessions };
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'user', id }));
  return view;
}

/** What a person holds by role and grants; partitions that a role makes needless count too, for they stay when it goes. */
export async function findHoldings(
  sql: Sql,
  tenantId: number,
  { role, partitions }: { role: string; partitions: readonly string[] },
): Promise<Holdings> {
  return {
    scopes: await findRoleScopes(sql, tenantId, role),
    partitions: [...grantsOfRole(role, partitions), ...partitions],
  };
}

async function requireMayChange(
  sql: Sql,
  by: Principal,
  before: UserView,
  changes: UserChanges,
): Promise<void> {
  await requireMayTouchOwner(sql, by, before.role, changes.role);
  const leaves = (changes.role !== undefined && changes.role !== 'owner') || changes.disabled === true;
  if (leaves) await requireAnotherOwner(sql, by.tenantId, before);
}

/** What concerns an owner, before or after, is for owners (and the admin key). Throws `forbidden`. */
export async function requireMayTouchOwner(
  sql: Sql,
  by: Principal,
  ...roles: readonly (string | undefined)[]
): Promise<void> {
  if (!roles.includes('owner') || (await isOwner(sql, by))) return;
  throw new AppError('forbidden', { message: 'Only an owner may do this to an owner.' });
}

/** The last owner of a tenant stays one. The tenant's row must be locked. Throws `forbidden`. */
export async function requireAnotherOwner(
  sql: Sql,
  tenantId: number,
  leaving: { id: string; role: string },
): Promise<void> {
  if (leaving.role !== 'owner' || (await countOtherOwners(sql, tenantId, leaving.id)) > 0) return;
  throw new AppError('forbidden', { message: 'The last owner stays: make somebody else an owner first.' });
}

export async function isOwner(sql: Sql, principal: Principal): Promise<boolean> {
  if (isAdminKey(principal)) return true;
  if (principal.kind !== 'user') return false;
  const [row] = await sql<{ role: string }>('SELECT role FROM users WHERE tenant_id = $1 AND id = $2', [
    principal.tenantId,
    principal.id,
  ]);
  return row?.role === 'owner';
}

async function countOtherOwners(sql: Sql, tenantId: number, id: string): Promise<number> {
  const [row] = await sql<{ count: number }>(
    `SELECT count(*)::integer AS count FROM users
     WHERE tenant_id = $1 AND id <> $2 AND role = 'owner' AND disabled_at IS NULL AND verified_at IS NOT NULL`,
    [tenantId, id],
  );
  return row?.count ?? 0;
}

/** Throws `not_found`. */
export async function requireUser(sql: Sql, tenantId: number, id: string): Promise<UserView> {
  const [row] = await sql<UserView>(`SELECT ${COLUMNS} FROM users WHERE tenant_id = $1 AND id = $2`, [
    tenantId,
    id,
  ]);
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such person.' });
  return row;
}
