import { EntitySchema } from 'typeorm';

/** The key a person's authenticator app makes its codes from. One each; pending until a code of it was given. */
export interface TotpSecretRow {
  tenant_id: number;
  user_id: string;
  /** Base32, sealed. */
  secret: Buffer;
  created_at: Date;
  confirmed_at: Date | null;
  /** The 30 s step of the last code taken: none of it or before it counts again. */
  last_step: number;
  /** Wrong codes since `failures_since`, over every way in. */
  failures: number;
  failures_since: Date | null;
}

const primaryKeyConstraintName = 'totp_secrets_pkey';

export const TotpSecretEntity = new EntitySchema<TotpSecretRow>({
  name: 'TotpSecret',
  tableName: 'totp_secrets',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    user_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    secret: { type: 'bytea' },
    created_at: { type: 'timestamptz' },
    confirmed_at: { type: 'timestamptz', nullable: true },
    last_step: { type: 'bigint', default: 0 },
    failures: { type: 'integer', default: 0 },
    failures_since: { type: 'timestamptz', nullable: true },
  },
  foreignKeys: [
    {
      name: 'totp_secrets_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
