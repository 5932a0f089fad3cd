import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Custom roles, invitations, changes of address under way, and the name a person wants to be shown by. */
export class CreatePeopleTables20261120000310 implements MigrationInterface {
  readonly name = 'CreatePeopleTables20261120000310';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE email_changes, invitations, roles');
    await runner.query('ALTER TABLE users DROP COLUMN display_name');
  }
}

const STATEMENTS = [
  'ALTER TABLE users ADD COLUMN display_name text',
  `CREATE TABLE roles (
     tenant_id integer NOT NULL,
     name text NOT NULL,
     scopes text[] NOT NULL,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL,
     CONSTRAINT roles_pkey PRIMARY KEY (tenant_id, name),
     CONSTRAINT roles_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE TABLE invitations (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     email text NOT NULL,
     email_key text NOT NULL,
     role text NOT NULL,
     partitions text[] NOT NULL DEFAULT '{}',
     hash bytea NOT NULL,
     invited_by text NOT NULL,
     created_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     accepted_at timestamptz,
     accepted_by uuid,
     withdrawn_at timestamptz,
     CONSTRAINT invitations_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT invitations_hash_key UNIQUE (tenant_id, hash),
     CONSTRAINT invitations_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  // the newest invitation of an address is the one that counts
  `CREATE UNIQUE INDEX invitations_open_key ON invitations (tenant_id, email_key)
     WHERE accepted_at IS NULL AND withdrawn_at IS NULL`,
  `CREATE TABLE email_changes (
     tenant_id integer NOT NULL,
     user_id uuid NOT NULL,
     new_email text NOT NULL,
     new_email_key text NOT NULL,
     created_at timestamptz NOT NULL,
     CONSTRAINT email_changes_pkey PRIMARY KEY (tenant_id, user_id),
     CONSTRAINT email_changes_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
];
