import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant } from './granting.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { BUILT_IN_ROLES, isBuiltIn, scopesOfRole } from './roles.ts';
import { requireTenant } from './tenants.ts';

/** Roles that a tenant makes for its people. Every function acts in the tenant of `by`, and in no other. */

export interface RoleSettings {
  name: string;
  scopes: string[];
}

export interface RoleView {
  name: string;
  scopes: readonly string[];
  builtIn: boolean;
  /** People who have it now. */
  people: number;
}

const MAX_ROLES = 100;

export async function listRoles(core: IdentityCore, tenantId: number): Promise<RoleView[]> {
  const { sql } = core.db;
  const own = await sql<{ name: string; scopes: string[] }>(
    'SELECT name, scopes FROM roles WHERE tenant_id = $1 ORDER BY name',
    [tenantId],
  );
  const counts = await sql<{ role: string; count: number }>(
    `SELECT role, count(*)::integer AS count FROM users WHERE tenant_id = $1 AND verified_at IS NOT NULL
     GROUP BY role`,
    [tenantId],
  );
  const people = new Map(counts.map(({ role, count }) => [role, count]));
  const builtIn = BUILT_IN_ROLES.map((name) => ({ name, scopes: scopesOfRole(name) }));
  return [...builtIn, ...own].map(({ name, scopes }) => ({
    name,
    scopes,
    builtIn: isBuiltIn(name),
    people: people.get(name) ?? 0,
  }));
}

/** Throws `forbidden` for a scope that `by` does not have, `already_exists` for a name that is taken. */
export async function createRole(
  core: IdentityCore,
  by: Principal,
  role: RoleSettings,
  caller: Caller,
): Promise<RoleView> {
  requireMayGrant(by, { scopes: role.scopes });
  if (isBuiltIn(role.name)) throw nameTaken(role.name);
  return core.db.transaction(async ({ sql }) => {
    await requireTenant(sql, by.tenantId);
    await lockRoles(sql, by.tenantId);
    await requireRoom(sql, by.tenantId);
    const made = await sql(
      `INSERT INTO roles (tenant_id, name, scopes, created_by, created_at) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (tenant_id, name) DO NOTHING RETURNING 1`,
      [by.tenantId, role.name, role.scopes, principalKey(by), new Date(core.clock())],
    );
    if (made.length === 0) throw nameTaken(role.name);
    await auditAct(sql, by, caller, { action: 'role.created', details: { ...role } });
    return { ...role, builtIn: false, people: 0 };
  });
}

/**
 * Replaces what a role may do; it holds for its people at their next request or event. Whoever changes them must hold what they
 * hold. Throws `not_found`, `forbidden`, `forbidden_partition`.
 */
export async function changeRole(
  core: IdentityCore,
  by: Principal,
  role: RoleSettings,
  caller: Caller,
): Promise<RoleView> {
  requireMayGrant(by, { scopes: role.scopes });
  const { tenantId } = by;
  const people = await core.db.transaction(async ({ sql }) => {
    await lockRoles(sql, tenantId);
    requireMayControl(by, await requireOwnRole(sql, tenantId, role.name));
    await sql('UPDATE roles SET scopes = $3 WHERE tenant_id = $1 AND name = $2', [
      tenantId,
      role.name,
      role.scopes,
    ]);
    // the other nodes look for people whose rights have changed
    const holders = await sql<{ id: string }>(
      'UPDATE users SET changed_at = clock_timestamp() WHERE tenant_id = $1 AND role = $2 RETURNING id',
      [tenantId, role.name],
    );
    await auditAct(sql, by, caller, { action: 'role.changed', details: { ...role, people: holders.length } });
    return holders;
  });
  await core.revocations.announceAllChanged(
    tenantId,
    people.map(({ id }) => principalKey({ kind: 'user', id })),
  );
  return { ...role, builtIn: false, people: people.length };
}

/** Throws `not_found`; `role_in_use` while somebody has it or is invited to it. */
export async function deleteRole(
  core: IdentityCore,
  by: Principal,
  name: string,
  caller: Caller,
): Promise<void> {
  await core.db.transaction(async ({ sql }) => {
    await lockRoles(sql, by.tenantId);
    requireMayControl(by, await requireOwnRole(sql, by.tenantId, name));
    const [used] = await sql(
      `SELECT 1 FROM users WHERE tenant_id = $1 AND role = $2
       UNION ALL
       SELECT 1 FROM invitations WHERE tenant_id = $1 AND role = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL
                                   AND expires_at > $3
       LIMIT 1`,
      [by.tenantId, name, new Date(core.clock())],
    );
    if (used !== undefined) throw new AppError('role_in_use');
    await sql('DELETE FROM roles WHERE tenant_id = $1 AND name = $2', [by.tenantId, name]);
    await auditAct(sql, by, caller, { action: 'role.deleted', details: { name } });
  });
}

/** The tenant's row: nobody is given a role while it changes or goes. */
async function lockRoles(sql: Sql, tenantId: number): Promise<void> {
  await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
}

async function requireRoom(sql: Sql, tenantId: number): Promise<void> {
  const [row] = await sql<{ count: number }>(
    'SELECT count(*)::integer AS count FROM roles WHERE tenant_id = $1',
    [tenantId],
  );
  if ((row?.count ?? 0) >= MAX_ROLES)
    throw new AppError('forbidden', { message: `A tenant has at most ${MAX_ROLES} roles of its own.` });
}

/** What the role and the people who have it hold. */
async function requireOwnRole(
  sql: Sql,
  tenantId: number,
  name: string,
): Promise<{ scopes: string[]; partitions: string[] }> {
  if (isBuiltIn(name)) throw new AppError('forbidden', { message: 'Built-in roles stay as they are.' });
  const [row] = await sql<{ scopes: string[] }>(
    'SELECT scopes FROM roles WHERE tenant_id = $1 AND name = $2',
    [tenantId, name],
  );
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such role.' });
  const held = await sql<{ partition: string }>(
    'SELECT DISTINCT unnest(partitions) AS partition FROM users WHERE tenant_id = $1 AND role = $2',
    [tenantId, name],
  );
  return { scopes: row.scopes, partitions: held.map(({ partition }) => partition) };
}

function nameTaken(name: string): AppError {
  return new AppError('already_exists', { message: `There is a role ${name} already.` });
}
