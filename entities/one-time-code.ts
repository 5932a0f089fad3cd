import { EntitySchema } from 'typeorm';

/** A six-digit code that was mailed: bound to a purpose, an address and one person's flow. */
export interface OneTimeCodeRow {
  tenant_id: number;
  id: string;
  purpose: string;
  user_id: string;
  email_key: string;
  /** HMAC under the encryption key: a bare hash of six digits would be guessed from a dump. */
  hash: Buffer;
  /** Guesses counted against it, right or wrong. */
  tries: number;
  created_at: Date;
  expires_at: Date;
  consumed_at: Date | null;
}

const primaryKeyConstraintName = 'one_time_codes_pkey';

export const OneTimeCodeEntity = new EntitySchema<OneTimeCodeRow>({
  name: 'OneTimeCode',
  tableName: 'one_time_codes',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    purpose: { type: 'text' },
    user_id: { type: 'uuid' },
    email_key: { type: 'text' },
    hash: { type: 'bytea' },
    tries: { type: 'integer', default: 0 },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    consumed_at: { type: 'timestamptz', nullable: true },
  },
  indices: [
    { name: 'one_time_codes_email_idx', columns: ['tenant_id', 'email_key', 'purpose'] },
    { name: 'one_time_codes_user_idx', columns: ['tenant_id', 'user_id'] },
    { name: 'one_time_codes_expires_at_idx', columns: ['expires_at'] },
  ],
  foreignKeys: [
    {
      name: 'one_time_codes_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
