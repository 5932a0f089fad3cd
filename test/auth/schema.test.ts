import { expect } from 'chai';
import type { QueryRunner } from 'typeorm';
import { openTestDatabase } from '../support/database.ts';

describe('identity tables', () => {
  it('agree with the entities: no schema difference is pending', async () => {
    const db = await openTestDatabase();
    const createQueryRunner = db.dataSource.createQueryRunner.bind(db.dataSource);
    db.dataSource.createQueryRunner = (mode) => oneAtATime(createQueryRunner(mode));
    const pending = await db.dataSource.driver.createSchemaBuilder().log();
    await db.close();
    expect(pending.upQueries.map((query) => query.query)).to.deep.equal([]);
  });
});

/** TypeORM looks at all tables at once on one connection, which pg deprecates: it is to ask one thing after the other. */
function oneAtATime(runner: QueryRunner): QueryRunner {
  const query = runner.query.bind(runner) as (...args: unknown[]) => Promise<unknown>;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (...args: unknown[]): Promise<unknown> => {
    const answer = last.then(() => query(...args));
    last = answer.catch(() => undefined);
    return answer;
  };
  return Object.assign(runner, { query: inTurn });
}
