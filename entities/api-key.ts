import { EntitySchema } from 'typeorm';

/** What an API key may do. Its secrets stand in `api_key_secrets`, so that it stays itself while they are rotated. */
export interface ApiKeyRow {
  tenant_id: number;
  id: string;
  /** Whom it belongs to. */
  client_id: string;
  /** Scopes. */
  permissions: string[];
  /** Grants in the form of `parseGrants`. */
  partitions: string[];
  /** Requests in a window of RATE_LIMIT_WINDOW_MS; null: no limit of its own. */
  rate_limit: number | null;
  expires_at: Date | null;
  created_by: string;
  created_at: Date;
  updated_at: Date;
  /** Written once a minute at the most. */
  last_used_at: Date | null;
  /** Switched off; may be switched on again. */
  disabled_at: Date | null;
  /** For good. */
  revoked_at: Date | null;
  /** Database time of the last change of rights: the nodes poll it. */
  changed_at: Date;
}

const primaryKeyConstraintName = 'api_keys_pkey';

export const ApiKeyEntity = new EntitySchema<ApiKeyRow>({
  name: 'ApiKey',
  tableName: 'api_keys',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    client_id: { type: 'uuid' },
    permissions: { type: 'text', array: true },
    partitions: { type: 'text', array: true },
    rate_limit: { type: 'integer', nullable: true },
    expires_at: { type: 'timestamptz', nullable: true },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
    updated_at: { type: 'timestamptz' },
    last_used_at: { type: 'timestamptz', nullable: true },
    disabled_at: { type: 'timestamptz', nullable: true },
    revoked_at: { type: 'timestamptz', nullable: true },
    changed_at: { type: 'timestamptz', default: () => 'now()' },
  },
  indices: [
    { name: 'api_keys_client_idx', columns: ['tenant_id', 'client_id'] },
    { name: 'api_keys_changed_at_idx', columns: ['changed_at'] },
  ],
  foreignKeys: [
    {
      name: 'api_keys_client_fkey',
      target: 'Client',
      columnNames: ['tenant_id', 'client_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
