import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When and how the person behind a session last proved who they are, and the key its tokens are bound to. */
export class SessionAuthentication20261120000300 implements MigrationInterface {
  readonly name = 'SessionAuthentication20261120000300';

  async up(runner: QueryRunner): Promise<void> {
    // sessions from before have never proved more than their login
    await runner.query(
      `ALTER TABLE sessions ADD COLUMN authenticated_at timestamptz, ADD COLUMN amr text[] NOT NULL DEFAULT '{}',
       ADD COLUMN dpop_jkt text`,
    );
    await runner.query('UPDATE sessions SET authenticated_at = created_at');
    // the default is for gateways of the version before, which go on opening sessions until they are replaced
    await runner.query(
      'ALTER TABLE sessions ALTER COLUMN authenticated_at SET NOT NULL, ALTER COLUMN authenticated_at SET DEFAULT now()',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'ALTER TABLE sessions DROP COLUMN authenticated_at, DROP COLUMN amr, DROP COLUMN dpop_jkt',
    );
  }
}
