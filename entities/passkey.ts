import { EntitySchema } from 'typeorm';

/** A credential of WebAuthn: a public key, whose private half never leaves the person's device or key chain. */
export interface PasskeyRow {
  tenant_id: number;
  id: string;
  user_id: string;
  /** What the authenticator calls it, base64url. */
  credential_id: string;
  /** COSE. */
  public_key: Buffer;
  /** Uses its authenticator has counted; one that is not beyond the last tells of a copy. 0 where it does not count. */
  counter: number;
  transports: string[];
  /** Whether it is kept in a key chain that several devices share. */
  backed_up: boolean;
  name: string;
  created_at: Date;
  last_used_at: Date | null;
}

const primaryKeyConstraintName = 'passkeys_pkey';

export const PasskeyEntity = new EntitySchema<PasskeyRow>({
  name: 'Passkey',
  tableName: 'passkeys',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    user_id: { type: 'uuid' },
    credential_id: { type: 'text' },
    public_key: { type: 'bytea' },
    counter: { type: 'bigint' },
    transports: { type: 'text', array: true, default: '{}' },
    backed_up: { type: 'boolean' },
    name: { type: 'text' },
    created_at: { type: 'timestamptz' },
    last_used_at: { type: 'timestamptz', nullable: true },
  },
  uniques: [{ name: 'passkeys_credential_key', columns: ['tenant_id', 'credential_id'] }],
  indices: [{ name: 'passkeys_user_idx', columns: ['tenant_id', 'user_id'] }],
  foreignKeys: [
    {
      name: 'passkeys_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
