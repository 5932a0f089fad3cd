import type { MigrationInterface, QueryRunner } from 'typeorm';

/** People, sessions, OAuth clients, codes, signing keys, and the jobs table. */
export class CreateIdentityTables20261120000100 implements MigrationInterface {
  readonly name = 'CreateIdentityTables20261120000100';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'DROP TABLE jobs, signing_keys, one_time_codes, client_secrets, oauth_clients, refresh_tokens, sessions, users',
    );
  }
}

const STATEMENTS = [
  `CREATE TABLE users (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     username text NOT NULL,
     username_key text NOT NULL,
     email text NOT NULL,
     email_key text NOT NULL,
     password_hash text NOT NULL,
     role text NOT NULL,
     partitions text[] NOT NULL DEFAULT '{}',
     verified_at timestamptz,
     disabled_at timestamptz,
     created_at timestamptz NOT NULL,
     changed_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT users_username_key UNIQUE (tenant_id, username_key),
     CONSTRAINT users_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  // an unverified sign-up proves nothing about the address, so it must not occupy it
  `CREATE UNIQUE INDEX users_email_key ON users (tenant_id, email_key) WHERE verified_at IS NOT NULL`,
  `CREATE INDEX users_pending_email_idx ON users (tenant_id, email_key, created_at)`,
  `CREATE INDEX users_changed_at_idx ON users (changed_at)`,
  `CREATE TABLE sessions (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     principal_kind text NOT NULL,
     principal_id uuid NOT NULL,
     client_id text,
     scopes text[],
     app text,
     ip text,
     user_agent text,
     created_at timestamptz NOT NULL,
     last_used_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     revoked_at timestamptz,
     revoked_reason text,
     CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT sessions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX sessions_principal_idx ON sessions (tenant_id, principal_kind, principal_id)`,
  `CREATE INDEX sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL`,
  `CREATE INDEX sessions_last_used_at_idx ON sessions (last_used_at)`,
  `CREATE TABLE refresh_tokens (
     tenant_id integer NOT NULL,
     hash bytea NOT NULL,
     session_id uuid NOT NULL,
     created_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     used_at timestamptz,
     successor bytea,
     CONSTRAINT refresh_tokens_pkey PRIMARY KEY (tenant_id, hash),
     CONSTRAINT refresh_tokens_session_fkey FOREIGN KEY (tenant_id, session_id)
       REFERENCES sessions (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX refresh_tokens_session_idx ON refresh_tokens (tenant_id, session_id)`,
  `CREATE TABLE oauth_clients (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     client_id text NOT NULL,
     name text NOT NULL,
     scopes text[] NOT NULL,
     partitions text[] NOT NULL,
     ip_allow_list text[] NOT NULL DEFAULT '{}',
     rate_per_minute integer,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL,
     disabled_at timestamptz,
     changed_at timestamptz NOT NULL DEFAULT now(),
     CONSTRAINT oauth_clients_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT oauth_clients_client_id_key UNIQUE (tenant_id, client_id),
     CONSTRAINT oauth_clients_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX oauth_clients_changed_at_idx ON oauth_clients (changed_at)`,
  `CREATE TABLE client_secrets (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     oauth_client_id uuid NOT NULL,
     hash bytea NOT NULL,
     created_at timestamptz NOT NULL,
     expires_at timestamptz,
     CONSTRAINT client_secrets_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT client_secrets_client_fkey FOREIGN KEY (tenant_id, oauth_client_id)
       REFERENCES oauth_clients (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX client_secrets_client_idx ON client_secrets (tenant_id, oauth_client_id)`,
  `CREATE TABLE one_time_codes (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     purpose text NOT NULL,
     user_id uuid NOT NULL,
     email_key text NOT NULL,
     hash bytea NOT NULL,
     tries integer NOT NULL DEFAULT 0,
     created_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     consumed_at timestamptz,
     CONSTRAINT one_time_codes_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT one_time_codes_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX one_time_codes_email_idx ON one_time_codes (tenant_id, email_key, purpose)`,
  `CREATE INDEX one_time_codes_user_idx ON one_time_codes (tenant_id, user_id)`,
  `CREATE TABLE signing_keys (
     kid text NOT NULL,
     alg text NOT NULL,
     public_jwk jsonb NOT NULL,
     private_jwk bytea,
     state text NOT NULL,
     created_at timestamptz NOT NULL,
     activated_at timestamptz,
     retiring_at timestamptz,
     CONSTRAINT signing_keys_pkey PRIMARY KEY (kid)
   )`,
  `CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active'`,
  `CREATE TABLE jobs (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     kind text NOT NULL,
     payload bytea NOT NULL,
     created_at timestamptz NOT NULL,
     run_at timestamptz NOT NULL,
     attempts integer NOT NULL DEFAULT 0,
     lease_id uuid,
     leased_until timestamptz,
     failed_at timestamptz,
     last_error text,
     CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT jobs_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX jobs_due_idx ON jobs (run_at) WHERE failed_at IS NULL`,
];
