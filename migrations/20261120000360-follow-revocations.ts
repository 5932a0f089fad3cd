import type { MigrationInterface, QueryRunner } from 'typeorm';

/** By which transaction a session ended, for a feed without gaps; and an index for counting logins over time. */
export class FollowRevocations20261120000360 implements MigrationInterface {
  readonly name = 'FollowRevocations20261120000360';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE sessions ADD COLUMN revoked_xid bigint');
    // of the audit log's rows most are batches: only the others pay for it
    await runner.query(
      `CREATE INDEX audit_logs_logins_idx ON audit_logs (tenant_id, at)
       WHERE action LIKE 'auth.%' OR action LIKE 'oauth.%' OR action LIKE 'device.%'
          OR action IN ('session.revoked', 'api_key.authentication')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX audit_logs_logins_idx');
    await runner.query('ALTER TABLE sessions DROP COLUMN revoked_xid');
  }
}
