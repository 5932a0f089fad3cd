import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Counts that several gateways share, and the addresses a tenant lets in or keeps out. */
export class LimitsAndAddressRules20261120000350 implements MigrationInterface {
  readonly name = 'LimitsAndAddressRules20261120000350';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE tenants DROP COLUMN ip_rules_changed_at');
    await runner.query('DROP TABLE ip_rules, rate_limits');
  }
}

const STATEMENTS = [
  // unlogged: a count costs no write-ahead log, and one that a crash loses begins anew
  `CREATE UNLOGGED TABLE rate_limits (
     key varchar(255) NOT NULL,
     points integer NOT NULL DEFAULT 0,
     expire bigint,
     CONSTRAINT rate_limits_pkey PRIMARY KEY (key)
   ) WITH (fillfactor = 70)`,
  `CREATE TABLE ip_rules (
     tenant_id integer NOT NULL,
     id uuid NOT NULL,
     cidr text NOT NULL,
     action text NOT NULL,
     note text,
     created_by text NOT NULL,
     created_at timestamptz NOT NULL,
     CONSTRAINT ip_rules_pkey PRIMARY KEY (tenant_id, id),
     CONSTRAINT ip_rules_cidr_key UNIQUE (tenant_id, cidr),
     CONSTRAINT ip_rules_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants (id)
   )`,
  `ALTER TABLE tenants ADD COLUMN ip_rules_changed_at timestamptz`,
];
