import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { isAdminKey } from './admin-key.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';

export interface TenantView {
  id: number;
  name: string;
}

/** Creates an organisation with its clock. Only for the admin key, which stands above tenants. */
export async function createTenant(
  core: IdentityCore,
  by: Principal,
  name: string,
  caller: Caller,
): Promise<TenantView> {
  if (!isAdminKey(by)) {
    throw new AppError('forbidden', { message: 'Only the admin key may create a tenant.' });
  }
  return core.db.transaction(async ({ sql }) => {
    const [row] = await sql<TenantView>('INSERT INTO tenants (name) VALUES ($1) RETURNING id, name', [name]);
    if (row === undefined) throw new Error('the tenant was not inserted');
    await sql('INSERT INTO sync_versions (tenant_id, epoch) VALUES ($1, gen_random_uuid())', [row.id]);
    await appendAudit(sql, {
      tenantId: row.id,
      action: 'tenant.created',
      principal: principalKey(by),
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { name },
    });
    return { id: row.id, name: row.name };
  });
}

/** All of them for the admin key, which stands above tenants; to others their own. */
export async function listTenants(core: IdentityCore, by: Principal): Promise<TenantView[]> {
  return core.db.sql<TenantView>('SELECT id, name FROM tenants WHERE $1 OR id = $2 ORDER BY id LIMIT $3', [
    isAdminKey(by),
    by.tenantId,
    MAX_LISTED,
  ]);
}

const MAX_LISTED = 1_000;

/** Renames an organisation: with the admin key any, else one's own. Throws `not_found`, also for another's. */
export async function renameTenant(
  core: IdentityCore,
  by: Principal,
  change: TenantView,
  caller: Caller,
): Promise<TenantView> {
  return core.db.transaction(async ({ sql }) => {
    const mayName = isAdminKey(by) || change.id === by.tenantId;
    const [row] = mayName
      ? await sql<TenantView>('UPDATE tenants SET name = $2 WHERE id = $1 RETURNING id, name', [
          change.id,
          change.name,
        ])
      : [];
    if (row === undefined) throw new AppError('not_found', { message: 'There is no such tenant.' });
    const act = { action: 'tenant.renamed', details: { name: row.name } };
    await auditAct(sql, { ...by, tenantId: row.id }, caller, act);
    return row;
  });
}

/** The first organisation is made with the gateway; until it is named, the gateway's address says more. */
const UNNAMED = 'default';

/** How people are told where they are. */
export function tenantTitle(name: string, issuer: string): string {
  return name === UNNAMED && URL.canParse(issuer) ? new URL(issuer).host : name;
}

/** Throws `not_found` with advice when there is no such tenant. */
export async function requireTenant(sql: Sql, tenantId: number): Promise<void> {
  const [row] = await sql('SELECT 1 FROM tenants WHERE id = $1', [tenantId]);
  if (row === undefined) {
    throw new AppError('not_found', {
      message: `There is no tenant ${tenantId}: create it with POST /api/v1/admin/tenants.`,
    });
  }
}
