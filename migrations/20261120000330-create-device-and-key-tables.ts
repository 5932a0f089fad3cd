import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Anonymous devices; API keys, their secrets and their owners. */
export class CreateDeviceAndKeyTables20261120000330 implements MigrationInterface {
  readonly name = 'CreateDeviceAndKeyTables20261120000330';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_key_secrets, api_keys, clients, devices');
  }
}

const STATEMENTS = [
  `CREATE TABLE devices (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     fingerprint bytea NOT NULL,
     name text,
     platform text,
     user_agent text,
     partitions text[] NOT NULL DEFAULT '{}',
     created_at timestamptz NOT NULL,
     updated_at timestamptz NOT NULL,
     disabled_at timestamptz,
     changed_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT devices_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT devices_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  // not unique: a look-alike is another device, and learns nothing of the first
  `CREATE INDEX devices_fingerprint_idx ON devices (tenant_id, fingerprint)`,
  `CREATE INDEX devices_changed_at_idx ON devices (changed_at)`,
  `CREATE TABLE clients (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     name text NOT NULL,
     client_type text NOT NULL,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL,
     disabled_at timestamptz,
     CONSTRAINT clients_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT clients_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE TABLE api_keys (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     client_id uuid NOT NULL,
     permissions text[] NOT NULL,
     partitions text[] NOT NULL,
     rate_limit integer,
     expires_at timestamptz,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL,
     updated_at timestamptz NOT NULL,
     last_used_at timestamptz,
     disabled_at timestamptz,
     revoked_at timestamptz,
     changed_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT api_keys_client_fkey FOREIGN KEY (tenant_id, client_id)
       REFERENCES clients (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX api_keys_client_idx ON api_keys (tenant_id, client_id)`,
  `CREATE INDEX api_keys_changed_at_idx ON api_keys (changed_at)`,
  `CREATE TABLE api_key_secrets (
     tenant_id integer NOT NULL,
     prefix text NOT NULL,
     api_key_id uuid NOT NULL,
     hash bytea NOT NULL,
     created_at timestamptz NOT NULL,
     expires_at timestamptz,
     CONSTRAINT api_key_secrets_pkey PRIMARY KEY (tenant_id, prefix),
     CONSTRAINT api_key_secrets_key_fkey FOREIGN KEY (tenant_id, api_key_id)
       REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX api_key_secrets_key_idx ON api_key_secrets (tenant_id, api_key_id)`,
];
