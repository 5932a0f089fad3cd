import { EntitySchema } from 'typeorm';

/** One secret of an OAuth client; several may overlap while it is being rotated. */
export interface ClientSecretRow {
  tenant_id: number;
  id: string;
  oauth_client_id: string;
  /** SHA-256: enough for 256 random bits, and no lever against the CPU. */
  hash: Buffer;
  created_at: Date;
  expires_at: Date | null;
}

const primaryKeyConstraintName = 'client_secrets_pkey';

export const ClientSecretEntity = new EntitySchema<ClientSecretRow>({
  name: 'ClientSecret',
  tableName: 'client_secrets',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    oauth_client_id: { type: 'uuid' },
    hash: { type: 'bytea' },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz', nullable: true },
  },
  indices: [{ name: 'client_secrets_client_idx', columns: ['tenant_id', 'oauth_client_id'] }],
  foreignKeys: [
    {
      name: 'client_secrets_client_fkey',
      target: 'OAuthClient',
      columnNames: ['tenant_id', 'oauth_client_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
