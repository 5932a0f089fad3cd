import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How often somebody of a tenant's own role may ask; null: as members. */
export class LimitRoles20261120000380 implements MigrationInterface {
  readonly name = 'LimitRoles20261120000380';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE roles ADD COLUMN rate_limit integer');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE roles DROP COLUMN rate_limit');
  }
}
