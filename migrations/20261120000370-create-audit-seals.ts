import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Seals over the audit log, chained; and an index that finds its rows by time and costs a push nothing. */
export class CreateAuditSeals20261120000370 implements MigrationInterface {
  readonly name = 'CreateAuditSeals20261120000370';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE audit_seals (
         tenant_id integer NOT NULL,
         number bigint NOT NULL,
         from_at timestamptz NOT NULL,
         to_at timestamptz NOT NULL,
         row_count bigint NOT NULL,
         digest bytea NOT NULL,
         prev_mac bytea NOT NULL,
         mac bytea NOT NULL,
         CONSTRAINT audit_seals_pkey PRIMARY KEY (tenant_id, number)
       )`,
    );
    await runner.query(
      `CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
       FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse_change()`,
    );
    await runner.query(
      'CREATE INDEX audit_logs_at_idx ON audit_logs USING brin (at) WITH (pages_per_range = 32)',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX audit_logs_at_idx');
    await runner.query('DROP TABLE audit_seals');
  }
}
