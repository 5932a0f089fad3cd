import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { isBuiltIn, ROLES_OF_MACHINES, scopesOfRole } from './roles.ts';

/** Scopes of a role of the tenant, built-in or its own; none for a role that there is not. */
export async function findRoleScopes(sql: Sql, tenantId: number, role: string): Promise<readonly string[]> {
  if (isBuiltIn(role)) return scopesOfRole(role);
  return (await findOwnRole(sql, tenantId, role)) ?? [];
}

/** Throws `invalid_request` unless people of the tenant can have the role. */
export async function requireRoleOfPeople(sql: Sql, tenantId: number, role: string): Promise<void> {
  const known = isBuiltIn(role)
    ? !ROLES_OF_MACHINES.includes(role)
    : (await findOwnRole(sql, tenantId, role)) !== undefined;
  if (known) return;
  const message = `there is no role ${JSON.stringify(role)} for people here: see GET /api/v1/admin/roles`;
  throw new AppError('invalid_request', { errors: [{ path: 'role', message }] });
}

async function findOwnRole(sql: Sql, tenantId: number, role: string): Promise<string[] | undefined> {
  const [row] = await sql<{ scopes: string[] }>(
    'SELECT scopes FROM roles WHERE tenant_id = $1 AND name = $2',
    [tenantId, role],
  );
  return row?.scopes;
}
