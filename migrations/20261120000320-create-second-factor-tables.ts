import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Second factors: authenticator apps, recovery codes, passkeys, and the steps of a login between password and factor. */
export class CreateSecondFactorTables20261120000320 implements MigrationInterface {
  readonly name = 'CreateSecondFactorTables20261120000320';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE passkey_challenges, mfa_tokens, passkeys, recovery_codes, totp_secrets');
  }
}

const STATEMENTS = [
  `CREATE TABLE totp_secrets (
     tenant_id integer NOT NULL,
     user_id uuid NOT NULL,
     secret bytea NOT NULL,
     created_at timestamptz NOT NULL,
     confirmed_at timestamptz,
     last_step bigint NOT NULL DEFAULT 0,
     failures integer NOT NULL DEFAULT 0,
     failures_since timestamptz,
     CONSTRAINT totp_secrets_pkey PRIMARY KEY (tenant_id, user_id),
     CONSTRAINT totp_secrets_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE TABLE recovery_codes (
     tenant_id integer NOT NULL,
     user_id uuid NOT NULL,
     hash bytea NOT NULL,
     created_at timestamptz NOT NULL,
     used_at timestamptz,
     CONSTRAINT recovery_codes_pkey PRIMARY KEY (tenant_id, user_id, hash),
     CONSTRAINT recovery_codes_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE TABLE passkeys (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     user_id uuid NOT NULL,
     credential_id text NOT NULL,
     public_key bytea NOT NULL,
     counter bigint NOT NULL,
     transports text[] NOT NULL DEFAULT '{}',
     backed_up boolean NOT NULL,
     name text NOT NULL,
     created_at timestamptz NOT NULL,
     last_used_at timestamptz,
     CONSTRAINT passkeys_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT passkeys_credential_key UNIQUE (tenant_id, credential_id),
     CONSTRAINT passkeys_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX passkeys_user_idx ON passkeys (tenant_id, user_id)`,
  `CREATE TABLE mfa_tokens (
     tenant_id integer NOT NULL,
     hash bytea NOT NULL,
     user_id uuid NOT NULL,
     password_digest bytea NOT NULL,
     network text NOT NULL,
     app text,
     tries integer NOT NULL DEFAULT 0,
     created_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     consumed_at timestamptz,
     CONSTRAINT mfa_tokens_pkey PRIMARY KEY (tenant_id, hash),
     CONSTRAINT mfa_tokens_user_fkey FOREIGN KEY (tenant_id, user_id)
       REFERENCES users (tenant_id, id) ON DELETE CASCADE
   )`,
  `CREATE INDEX mfa_tokens_user_idx ON mfa_tokens (tenant_id, user_id)`,
  `CREATE INDEX mfa_tokens_expires_at_idx ON mfa_tokens (expires_at)`,
  `CREATE TABLE passkey_challenges (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     purpose text NOT NULL,
     subject text NOT NULL,
     challenge text NOT NULL,
     expires_at timestamptz NOT NULL,
     CONSTRAINT passkey_challenges_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT passkey_challenges_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX passkey_challenges_subject_idx ON passkey_challenges (tenant_id, purpose, subject)`,
  `CREATE INDEX passkey_challenges_expires_at_idx ON passkey_challenges (expires_at)`,
];
