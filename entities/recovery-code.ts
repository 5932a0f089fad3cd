import { EntitySchema } from 'typeorm';

/** A way in for who has lost the second factor: good once. */
export interface RecoveryCodeRow {
  tenant_id: number;
  user_id: string;
  /** HMAC under the encryption key. */
  hash: Buffer;
  created_at: Date;
  used_at: Date | null;
}

const primaryKeyConstraintName = 'recovery_codes_pkey';

export const RecoveryCodeEntity = new EntitySchema<RecoveryCodeRow>({
  name: 'RecoveryCode',
  tableName: 'recovery_codes',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    user_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    hash: { type: 'bytea', primary: true, primaryKeyConstraintName },
    created_at: { type: 'timestamptz' },
    used_at: { type: 'timestamptz', nullable: true },
  },
  foreignKeys: [
    {
      name: 'recovery_codes_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
