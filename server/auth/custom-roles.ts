import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db.ts';
import { limitOf, requestLimits } from '../limits/role-limits.ts';
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
  /** Requests of each of its people in a window of RATE_LIMIT_WINDOW_MS; null: as members; left out: as it was. */
  rateLimit?: number | null | undefined;
}

export interface RoleView {
  name: string;
  scopes: readonly string[];
  builtIn: boolean;
  /** People who have it now. */
  people: number;
  /** Requests of each of them in a window; null: no limit, or, of a role of the tenant's own, none but that of members. */
  rateLimit: number | null;
}

const MAX_ROLES = 100;

export async function listRoles(core: IdentityCore, tenantId: number): Promise<RoleView[]> {
  const { sql } = core.db;
  const own = await sql<{ name: string; scopes: string[]; rateLimit: number | null }>(
    'SELECT name, scopes, rate_limit AS "rateLimit" FROM roles WHERE tenant_id = $1 ORDER BY name',
    [tenantId],
  );
  const counts = await sql<{ role: string; count: number }>(
    `SELECT role, count(*)::integer AS count FROM users WHERE tenant_id = $1 AND verified_at IS NOT NULL
     GROUP BY role`,
    [tenantId],
  );
  const people = new Map(counts.map(({ role, count }) => [role, count]));
  const builtIn = BUILT_IN_ROLES.map((name) => ({
    name,
    scopes: scopesOfRole(name),
    rateLimit: shownLimit(core.config, name),
  }));
  return [...builtIn, ...own].map(({ name, scopes, rateLimit }) => ({
    name,
    scopes,
    builtIn: isBuiltIn(name),
    people: people.get(name) ?? 0,
    rateLimit,
  }));
}

function shownLimit(config: Config, role: string): number | null {
  const limit = limitOf(requestLimits(config), role) ?? Infinity;
  return limit === Infinity ? null : limit;
}

/** Throws `forbidden` for a scope that `by` does not have, `already_exists` for a name that is taken. */
export async function createRole(
  core: IdentityCore,
  by: Principal,
  role: RoleSettings,
  caller: Caller,
): Promise<RoleView> {
  const { name, scopes, rateLimit = null } = role;
  requireMayGrant(by, { scopes });
  if (isBuiltIn(name)) throw nameTaken(name);
  return core.db.transaction(async ({ sql }) => {
    await requireTenant(sql, by.tenantId);
    await lockRoles(sql, by.tenantId);
    await requireRoom(sql, by.tenantId);
    const made = await sql(
      `INSERT INTO roles (tenant_id, name, scopes, rate_limit, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (tenant_id, name) DO NOTHING RETURNING 1`,
      [by.tenantId, name, scopes, rateLimit, principalKey(by), new Date(core.clock())],
    );
    if (made.length === 0) throw nameTaken(name);
    await auditAct(sql, by, caller, { action: 'role.created', details: { name, scopes, rateLimit } });
    return { name, scopes, rateLimit, builtIn: false, people: 0 };
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
  const { people, rateLimit } = await core.db.transaction(async ({ sql }) => {
    await lockRoles(sql, tenantId);
    requireMayControl(by, await requireOwnRole(core, sql, tenantId, role.name));
    const [changed] = await sql<{ rateLimit: number | null }>(
      `UPDATE roles SET scopes = $3, rate_limit = CASE WHEN $4 THEN $5::integer ELSE rate_limit END
       WHERE tenant_id = $1 AND name = $2 RETURNING rate_limit AS "rateLimit"`,
      [tenantId, role.name, role.scopes, role.rateLimit !== undefined, role.rateLimit ?? null],
    );
    // the other nodes look for people whose rights have changed
    const holders = await sql<{ id: string }>(
      'UPDATE users SET changed_at = clock_timestamp() WHERE tenant_id = $1 AND role = $2 RETURNING id',
      [tenantId, role.name],
    );
    await auditAct(sql, by, caller, { action: 'role.changed', details: { ...role, people: holders.length } });
    return { people: holders, rateLimit: changed?.rateLimit ?? null };
  });
  await core.revocations.announceAllChanged(
    tenantId,
    people.map(({ id }) => principalKey({ kind: 'user', id })),
  );
  const { name, scopes } = role;
  return { name, scopes, rateLimit, builtIn: false, people: people.length };
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
    requireMayControl(by, await requireOwnRole(core, sql, by.tenantId, name));
    await requireUnused(core, sql, by.tenantId, name);
    await sql('DELETE FROM roles WHERE tenant_id = $1 AND name = $2', [by.tenantId, name]);
    await auditAct(sql, by, caller, { action: 'role.deleted', details: { name } });
  });
}

/** Throws `role_in_use`, which says by what. */
async function requireUnused(core: IdentityCore, sql: Sql, tenantId: number, role: string): Promise<void> {
  const [person] = await sql('SELECT 1 FROM users WHERE tenant_id = $1 AND role = $2 LIMIT 1', [
    tenantId,
    role,
  ]);
  if (person !== undefined) throw new AppError('role_in_use');
  const [invitation] = await sql<{ email: string }>(
    `SELECT email FROM invitations WHERE tenant_id = $1 AND role = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL
                                     AND expires_at > $3
     ORDER BY created_at LIMIT 1`,
    [tenantId, role, new Date(core.clock())],
  );
  if (invitation === undefined) return;
  const message = `An invitation to ${invitation.email} names that role: withdraw it first.`;
  throw new AppError('role_in_use', { message });
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

/** What the role and the people who have it hold, or will when they accept an invitation. */
async function requireOwnRole(
  core: IdentityCore,
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
    `SELECT unnest(partitions) AS partition FROM users WHERE tenant_id = $1 AND role = $2
     UNION SELECT unnest(partitions) FROM invitations
     WHERE tenant_id = $1 AND role = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > $3`,
    [tenantId, name, new Date(core.clock())],
  );
  return { scopes: row.scopes, partitions: held.map(({ partition }) => partition) };
}

function nameTaken(name: string): AppError {
  return new AppError('already_exists', { message: `There is a role ${name} already.` });
}
