import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is over is deleted every hour, in all tenants at once. */
export class IndexExpiries20261120000390 implements MigrationInterface {
  readonly name = 'IndexExpiries20261120000390';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at)');
    await runner.query('CREATE INDEX one_time_codes_expires_at_idx ON one_time_codes (expires_at)');
    await runner.query('CREATE INDEX sessions_expires_at_idx ON sessions (expires_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX sessions_expires_at_idx');
    await runner.query('DROP INDEX one_time_codes_expires_at_idx');
    await runner.query('DROP INDEX refresh_tokens_expires_at_idx');
  }
}
