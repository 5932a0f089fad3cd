import { EntitySchema } from 'typeorm';

/** An installation that nobody has logged in to: it proves itself by its refresh token alone. */
export interface DeviceRow {
  tenant_id: number;
  id: string;
  /** HMAC of what the device looks like. It tells look-alikes apart and opens nothing. */
  fingerprint: Buffer;
  name: string | null;
  platform: string | null;
  user_agent: string | null;
  /** Grants in the form of `parseGrants`; an administrator gives them. */
  partitions: string[];
  created_at: Date;
  updated_at: Date;
  disabled_at: Date | null;
  /** Database time of the last change of rights: the nodes poll it. */
  changed_at: Date;
}

const primaryKeyConstraintName = 'devices_pkey';

export const DeviceEntity = new EntitySchema<DeviceRow>({
  name: 'Device',
  tableName: 'devices',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    fingerprint: { type: 'bytea' },
    name: { type: 'text', nullable: true },
    platform: { type: 'text', nullable: true },
    user_agent: { type: 'text', nullable: true },
    partitions: { type: 'text', array: true, default: '{}' },
    created_at: { type: 'timestamptz' },
    updated_at: { type: 'timestamptz' },
    disabled_at: { type: 'timestamptz', nullable: true },
    changed_at: { type: 'timestamptz', default: () => 'now()' },
  },
  indices: [
    { name: 'devices_fingerprint_idx', columns: ['tenant_id', 'fingerprint'] },
    { name: 'devices_changed_at_idx', columns: ['changed_at'] },
  ],
  foreignKeys: [
    {
      name: 'devices_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
