import { expect } from 'chai';
import { openTestDatabase } from '../support/database.ts';

describe('identity tables', () => {
  it('agree with the entities: no schema difference is pending', async () => {
    const db = await openTestDatabase();
    const pending = await db.dataSource.driver.createSchemaBuilder().log();
    await db.close();
    expect(pending.upQueries.map((query) => query.query)).to.deep.equal([]);
  });
});
