import { EntitySchema } from 'typeorm';

/** A terminal that asks to be let in, and what a person says to it (RFC 8628). */
export interface DeviceCodeRow {
  tenant_id: number;
  /** SHA-256 of the device code, 256 random bits: the terminal alone has it. */
  hash: Buffer;
  /** Keyed digest of the code that people type. */
  user_code: Buffer;
  /** Public id of the OAuth client that asked. */
  client_id: string;
  /** Scopes it asked for; null: it named none. */
  scopes: string[] | null;
  ip: string | null;
  user_agent: string | null;
  created_at: Date;
  expires_at: Date;
  /** Seconds between two polls; grows when it is not kept. */
  poll_seconds: number;
  polled_at: Date | null;
  state: 'pending' | 'approved' | 'denied' | 'redeemed';
  decided_by: string | null;
  /** The session it was approved in: when that has ended, so has the approval. */
  decided_in: string | null;
  /** Scopes that were approved. */
  granted: string[] | null;
}

const primaryKeyConstraintName = 'device_codes_pkey';

export const DeviceCodeEntity = new EntitySchema<DeviceCodeRow>({
  name: 'DeviceCode',
  tableName: 'device_codes',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    hash: { type: 'bytea', primary: true, primaryKeyConstraintName },
    user_code: { type: 'bytea' },
    client_id: { type: 'text' },
    scopes: { type: 'text', array: true, nullable: true },
    ip: { type: 'text', nullable: true },
    user_agent: { type: 'text', nullable: true },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    poll_seconds: { type: 'integer' },
    polled_at: { type: 'timestamptz', nullable: true },
    state: { type: 'text' },
    decided_by: { type: 'uuid', nullable: true },
    decided_in: { type: 'uuid', nullable: true },
    granted: { type: 'text', array: true, nullable: true },
  },
  uniques: [{ name: 'device_codes_user_code_key', columns: ['tenant_id', 'user_code'] }],
  indices: [{ name: 'device_codes_expires_at_idx', columns: ['expires_at'] }],
  foreignKeys: [
    {
      name: 'device_codes_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
