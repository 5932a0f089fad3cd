import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an agent's inbox holds is shown beside its queue: what was refused is not all sent. */
export class ShowInboxes20261120000400 implements MigrationInterface {
  readonly name = 'ShowInboxes20261120000400';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE presence_leases ADD COLUMN inbox bigint');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE presence_leases DROP COLUMN inbox');
  }
}
