import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl } from './granting.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { requireTenant } from './tenants.ts';

/** Whom API keys belong to (table `clients`). Every function acts in the tenant of `by`, and in no other. */

export const OWNER_TYPES = ['web', 'mobile', 'desktop', 'service'] as const;

export interface KeyOwner {
  id: string;
  name: string;
  clientType: (typeof OWNER_TYPES)[number];
  isActive: boolean;
  createdAt: Date;
  /** Keys that are not revoked. */
  apiKeyCount: number;
}

export interface OwnerChanges {
  name?: string | undefined;
  isActive?: boolean | undefined;
}

const SELECT = `
  SELECT c.id, c.name, c.client_type AS "clientType", c.disabled_at IS NULL AS "isActive", c.created_at AS "createdAt",
         (SELECT count(*)::integer FROM api_keys k
          WHERE k.tenant_id = c.tenant_id AND k.client_id = c.id AND k.revoked_at IS NULL) AS "apiKeyCount"
  FROM clients c WHERE c.tenant_id = $1`;

export async function createOwner(
  core: IdentityCore,
  by: Principal,
  owner: Pick<KeyOwner, 'name' | 'clientType'>,
  caller: Caller,
): Promise<KeyOwner> {
  const { tenantId } = by;
  const id = randomUUID();
  return core.db.transaction(async ({ sql }) => {
    await requireTenant(sql, tenantId);
    await sql(
      `INSERT INTO clients (tenant_id, id, name, client_type, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
      [tenantId, id, owner.name, owner.clientType, principalKey(by), new Date(core.clock())],
    );
    await auditAct(sql, by, caller, { action: 'key_owner.created', details: { client: id, ...owner } });
    return requireOwner(sql, tenantId, id);
  });
}

/** The newest first. */
export async function listOwners(
  core: IdentityCore,
  tenantId: number,
  page: { page: number; limit: number },
): Promise<{ owners: KeyOwner[]; total: number }> {
  const owners = await core.db.sql<KeyOwner>(
    `${SELECT} ORDER BY c.created_at DESC, c.id LIMIT $2 OFFSET $3`,
    [tenantId, page.limit, (page.page - 1) * page.limit],
  );
  const [row] = await core.db.sql<{ total: number }>(
    'SELECT count(*)::integer AS total FROM clients WHERE tenant_id = $1',
    [tenantId],
  );
  return { owners, total: row?.total ?? 0 };
}

/**
 * Renames an owner, or switches it off with all of its keys, or on again. Throws `not_found`; `forbidden` and
 * `forbidden_partition` when one of its keys holds what `by` does not (S54).
 */
export async function changeOwner(
  core: IdentityCore,
  by: Principal,
  change: { id: string; changes: OwnerChanges },
  caller: Caller,
): Promise<KeyOwner> {
  const { id, changes } = change;
  const { tenantId } = by;
  const { owner, keys } = await core.db.transaction(async ({ sql }) => {
    await lockOwner(sql, tenantId, id);
    const touched = await sql<{ id: string; permissions: string[]; partitions: string[] }>(
      `UPDATE api_keys SET changed_at = clock_timestamp()
       WHERE tenant_id = $1 AND client_id = $2 AND revoked_at IS NULL RETURNING id, permissions, partitions`,
      [tenantId, id],
    );
    for (const { permissions, partitions } of touched)
      requireMayControl(by, { scopes: permissions, partitions });
    await sql(
      `UPDATE clients SET name = coalesce($3, name),
         disabled_at = CASE WHEN $4::boolean THEN NULL WHEN NOT $4 THEN coalesce(disabled_at, $5::timestamptz)
                            ELSE disabled_at END
       WHERE tenant_id = $1 AND id = $2`,
      [tenantId, id, changes.name ?? null, changes.isActive ?? null, new Date(core.clock())],
    );
    const details = { fields: Object.keys(changes) };
    await auditAct(sql, by, caller, { action: 'key_owner.changed', details: { client: id, ...details } });
    return { owner: await requireOwner(sql, tenantId, id), keys: touched };
  });
  for (const key of keys) {
    core.revocations.announceChanged(tenantId, principalKey({ kind: 'api_key', id: key.id }));
  }
  return owner;
}

/** Held until the end of the transaction. Throws `not_found`. */
export async function lockOwner(sql: Sql, tenantId: number, id: string): Promise<void> {
  const found = await sql('SELECT 1 FROM clients WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [
    tenantId,
    id,
  ]);
  if (found.length === 0) throw notFound();
}

async function requireOwner(sql: Sql, tenantId: number, id: string): Promise<KeyOwner> {
  const [row] = await sql<KeyOwner>(`${SELECT} AND c.id = $2`, [tenantId, id]);
  if (row === undefined) throw notFound();
  return row;
}

function notFound(): AppError {
  return new AppError('not_found', { message: 'There is no such client.' });
}
