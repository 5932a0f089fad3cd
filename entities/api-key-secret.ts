import { EntitySchema } from 'typeorm';

/** One secret of an API key, found by its prefix; several may overlap while it is being rotated. */
export interface ApiKeySecretRow {
  tenant_id: number;
  /** The part of the key that is no secret: it finds the row, and lists show it. */
  prefix: string;
  api_key_id: string;
  /** SHA-256 of the whole key: enough for 256 random bits. */
  hash: Buffer;
  created_at: Date;
  expires_at: Date | null;
}

const primaryKeyConstraintName = 'api_key_secrets_pkey';

export const ApiKeySecretEntity = new EntitySchema<ApiKeySecretRow>({
  name: 'ApiKeySecret',
  tableName: 'api_key_secrets',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    prefix: { type: 'text', primary: true, primaryKeyConstraintName },
    api_key_id: { type: 'uuid' },
    hash: { type: 'bytea' },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz', nullable: true },
  },
  indices: [{ name: 'api_key_secrets_key_idx', columns: ['tenant_id', 'api_key_id'] }],
  foreignKeys: [
    {
      name: 'api_key_secrets_key_fkey',
      target: 'ApiKey',
      columnNames: ['tenant_id', 'api_key_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
