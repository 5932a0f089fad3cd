import { dropDatabases, useServer } from './database.ts';

/** Starts what the whole suite shares: a PostgreSQL server (the embedded one unless TEST_DATABASE_URL names another). */
let stop: () => Promise<void> = () => Promise.resolve();

export const mochaHooks = {
  async beforeAll(this: Mocha.Context) {
    this.timeout(120_000);
    const given = process.env['TEST_DATABASE_URL'];
    if (given !== undefined && given !== '') useServer(given);
    else throw new Error('TEST_DATABASE_URL is not set');
  },
  async afterAll(this: Mocha.Context) {
    this.timeout(60_000);
    await dropDatabases();
    await stop();
  },
};
