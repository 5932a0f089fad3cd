import { EntitySchema } from 'typeorm';

/** A place for a person in a tenant, mailed to an address. Whoever holds the token has read that mail. */
export interface InvitationRow {
  tenant_id: number;
  id: string;
  email: string;
  email_key: string;
  role: string;
  /** Grants in the form of `parseGrants`. */
  partitions: string[];
  /** SHA-256 of the token. */
  hash: Buffer;
  /** `kind:id` of who made it: what they may no longer grant, it no longer grants. */
  invited_by: string;
  created_at: Date;
  expires_at: Date;
  accepted_at: Date | null;
  accepted_by: string | null;
  withdrawn_at: Date | null;
}

const primaryKeyConstraintName = 'invitations_pkey';

export const InvitationEntity = new EntitySchema<InvitationRow>({
  name: 'Invitation',
  tableName: 'invitations',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    email: { type: 'text' },
    email_key: { type: 'text' },
    role: { type: 'text' },
    partitions: { type: 'text', array: true, default: '{}' },
    hash: { type: 'bytea' },
    invited_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    accepted_at: { type: 'timestamptz', nullable: true },
    accepted_by: { type: 'uuid', nullable: true },
    withdrawn_at: { type: 'timestamptz', nullable: true },
  },
  uniques: [{ name: 'invitations_hash_key', columns: ['tenant_id', 'hash'] }],
  indices: [
    {
      name: 'invitations_open_key',
      columns: ['tenant_id', 'email_key'],
      unique: true,
      where: 'accepted_at IS NULL AND withdrawn_at IS NULL',
    },
  ],
  foreignKeys: [
    {
      name: 'invitations_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
