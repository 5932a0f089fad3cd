import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { isAdminKey } from './admin-key.ts';
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

/** Throws `not_found` with advice when there is no such tenant. */
export async function requireTenant(sql: Sql, tenantId: number): Promise<void> {
  const [row] = await sql('SELECT 1 FROM tenants WHERE id = $1', [tenantId]);
  if (row === undefined) {
    throw new AppError('not_found', {
      message: `There is no tenant ${tenantId}: create it with POST /api/v1/admin/tenants.`,
    });
  }
}
