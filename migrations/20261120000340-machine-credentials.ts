import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Clients that prove themselves by a key, proofs that count once, and terminals that wait for a person's approval. */
export class MachineCredentials20261120000340 implements MigrationInterface {
  readonly name = 'MachineCredentials20261120000340';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE device_codes, used_proofs');
    await runner.query(
      'ALTER TABLE oauth_clients DROP COLUMN auth_method, DROP COLUMN jwks, DROP COLUMN dpop_bound',
    );
  }
}

const STATEMENTS = [
  // null: a secret, in the header or the body, as clients from before have it
  `ALTER TABLE oauth_clients ADD COLUMN auth_method text, ADD COLUMN jwks jsonb,
     ADD COLUMN dpop_bound boolean NOT NULL DEFAULT false`,
  `CREATE TABLE used_proofs (
     tenant_id integer NOT NULL,
     hash bytea NOT NULL,
     expires_at timestamptz NOT NULL,
     CONSTRAINT used_proofs_pkey PRIMARY KEY (tenant_id, hash),
     CONSTRAINT used_proofs_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX used_proofs_expires_at_idx ON used_proofs (expires_at)`,
  `CREATE TABLE device_codes (
     tenant_id integer NOT NULL,
     hash bytea NOT NULL,
     user_code bytea NOT NULL,
     client_id text NOT NULL,
     scopes text[],
     ip text,
     user_agent text,
     created_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     poll_seconds integer NOT NULL,
     polled_at timestamptz,
     state text NOT NULL,
     decided_by uuid,
     decided_in uuid,
     granted text[],
     CONSTRAINT device_codes_pkey PRIMARY KEY (tenant_id, hash),
     CONSTRAINT device_codes_user_code_key UNIQUE (tenant_id, user_code),
     CONSTRAINT device_codes_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `CREATE INDEX device_codes_expires_at_idx ON device_codes (expires_at)`,
];
