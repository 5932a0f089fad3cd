import { EntitySchema } from 'typeorm';

/** A login whose password was right and whose second factor is due. */
export interface MfaTokenRow {
  tenant_id: number;
  /** SHA-256 of the token. */
  hash: Buffer;
  user_id: string;
  /** SHA-256 of the password's hash: a change of the password ends the login. */
  password_digest: Buffer;
  /** Where the password came from; the second factor has to come from there too. */
  network: string;
  app: string | null;
  /** Answers tried, right or wrong. */
  tries: number;
  created_at: Date;
  expires_at: Date;
  consumed_at: Date | null;
}

const primaryKeyConstraintName = 'mfa_tokens_pkey';

export const MfaTokenEntity = new EntitySchema<MfaTokenRow>({
  name: 'MfaToken',
  tableName: 'mfa_tokens',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    hash: { type: 'bytea', primary: true, primaryKeyConstraintName },
    user_id: { type: 'uuid' },
    password_digest: { type: 'bytea' },
    network: { type: 'text' },
    app: { type: 'text', nullable: true },
    tries: { type: 'integer', default: 0 },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    consumed_at: { type: 'timestamptz', nullable: true },
  },
  indices: [
    { name: 'mfa_tokens_user_idx', columns: ['tenant_id', 'user_id'] },
    { name: 'mfa_tokens_expires_at_idx', columns: ['expires_at'] },
  ],
  foreignKeys: [
    {
      name: 'mfa_tokens_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
