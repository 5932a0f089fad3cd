import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireDevice, SELECT_DEVICES } from './devices.ts';
import type { DeviceView } from './devices.ts';
import { requireMayControl, requireMayGrant } from './granting.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';
import { scopesOfRole } from './roles.ts';

/** Administrators' view of the devices of their tenant, and what they may change. */

export interface DeviceGrants {
  partitions?: string[] | undefined;
  isActive?: boolean | undefined;
}

/** The newest first. */
export async function listDevices(
  core: IdentityCore,
  tenantId: number,
  page: { page: number; limit: number },
): Promise<{ devices: DeviceView[]; total: number }> {
  const devices = await core.db.sql<DeviceView>(
    `${SELECT_DEVICES} ORDER BY d.created_at DESC, d.id LIMIT $2 OFFSET $3`,
    [tenantId, page.limit, (page.page - 1) * page.limit],
  );
  const [row] = await core.db.sql<{ total: number }>(
    'SELECT count(*)::integer AS total FROM devices WHERE tenant_id = $1',
    [tenantId],
  );
  return { devices, total: row?.total ?? 0 };
}

/**
 * Grants partitions, disables or enables. Disabling ends the device's sessions in the same transaction. Throws `not_found`;
 * `forbidden` and `forbidden_partition` for what `by` does not hold (S54).
 */
export async function changeDevice(
  core: IdentityCore,
  by: Principal,
  change: { id: string; changes: DeviceGrants },
  caller: Caller,
): Promise<DeviceView> {
  const { id, changes } = change;
  const { tenantId } = by;
  const scopes = scopesOfRole('anonymous');
  requireMayGrant(by, { scopes, partitions: changes.partitions });
  const { view, ended } = await core.db.transaction(async ({ sql }) => {
    await sql('SELECT 1 FROM devices WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [tenantId, id]);
    const { partitions } = await requireDevice(sql, tenantId, id);
    requireMayControl(by, { scopes, partitions });
    await sql(
      `UPDATE devices SET partitions = coalesce($3, partitions),
         disabled_at = CASE WHEN $4::boolean THEN NULL WHEN NOT $4 THEN coalesce(disabled_at, $5::timestamptz)
                            ELSE disabled_at END,
         updated_at = $5, changed_at = clock_timestamp()
       WHERE tenant_id = $1 AND id = $2`,
      [tenantId, id, changes.partitions ?? null, changes.isActive ?? null, new Date(core.clock())],
    );
    await auditAct(sql, by, caller, {
      action: 'device.changed',
      details: { device: id, fields: Object.keys(changes) },
    });
    const cause = { reason: 'device_disabled', by: principalKey(by), caller };
    const sessions =
      changes.isActive === false ? await revokeSessions(sql, { tenantId, kind: 'device', id }, cause) : [];
    return { view: await requireDevice(sql, tenantId, id), ended: sessions };
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'device', id }));
  return view;
}
