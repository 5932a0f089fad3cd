import { EntitySchema } from 'typeorm';

/** A person of one tenant. Until verified_at is set it only reserves the username. */
export interface UserRow {
  tenant_id: number;
  id: string;
  username: string;
  /** NFKC and lower case: what is compared. */
  username_key: string;
  email: string;
  email_key: string;
  /** What the person wants to be called; null: the username. */
  display_name: string | null;
  /** argon2id, in PHC form. */
  password_hash: string;
  /** `owner`, `admin`, `operator`, `auditor`, `member`, or one of the tenant's own. */
  role: string;
  /** Grants in the form of `parseGrants`. */
  partitions: string[];
  verified_at: Date | null;
  disabled_at: Date | null;
  created_at: Date;
  /** Database time of the last change of rights: the nodes poll it. */
  changed_at: Date;
}

const primaryKeyConstraintName = 'users_pkey';

export const UserEntity = new EntitySchema<UserRow>({
  name: 'User',
  tableName: 'users',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    username: { type: 'text' },
    username_key: { type: 'text' },
    email: { type: 'text' },
    email_key: { type: 'text' },
    password_hash: { type: 'text' },
    role: { type: 'text' },
    partitions: { type: 'text', array: true, default: '{}' },
    verified_at: { type: 'timestamptz', nullable: true },
    disabled_at: { type: 'timestamptz', nullable: true },
    created_at: { type: 'timestamptz' },
    changed_at: { type: 'timestamptz', default: () => 'now()' },
    display_name: { type: 'text', nullable: true },
  },
  uniques: [{ name: 'users_username_key', columns: ['tenant_id', 'username_key'] }],
  indices: [
    // an unverified sign-up proves nothing about the address, so it must not occupy it
    {
      name: 'users_email_key',
      columns: ['tenant_id', 'email_key'],
      unique: true,
      where: 'verified_at IS NOT NULL',
    },
    { name: 'users_pending_email_idx', columns: ['tenant_id', 'email_key', 'created_at'] },
    { name: 'users_changed_at_idx', columns: ['changed_at'] },
  ],
  foreignKeys: [
    {
      name: 'users_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
