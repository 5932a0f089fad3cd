import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../server/embedded/embedded-postgres.ts';
import { dropDatabases, useServer } from './database.ts';

/**
 * What the whole suite shares: a PostgreSQL server. It is the embedded one, exactly as a newcomer gets it, unless
 * TEST_DATABASE_URL names another (a role that may create databases).
 */
let stop: () => Promise<void> = () => Promise.resolve();

export const mochaHooks = {
  async beforeAll(this: Mocha.Context) {
    this.timeout(120_000);
    const given = process.env['TEST_DATABASE_URL'];
    if (given !== undefined && given !== '') useServer(given);
    else stop = await startEmbeddedServer();
  },
  async afterAll(this: Mocha.Context) {
    this.timeout(60_000);
    await dropDatabases();
    await stop();
  },
};

async function startEmbeddedServer(): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const embedded = await startEmbeddedPostgres({ dataDir, log: () => undefined });
  useServer(embedded.url);
  return async () => {
    await embedded.close();
    await rm(dataDir, { recursive: true, force: true });
  };
}
