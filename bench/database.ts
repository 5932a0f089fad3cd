import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../server/embedded/embedded-postgres.ts';
import { BARE_CLIENTS } from './bare-tokens.ts';
import { BARE_TABLES } from './bare.ts';
import { PROTOTYPE_TABLES } from './prototype.ts';

/** A database for one run, gone afterwards. */
export interface BenchDatabase {
  url: string;
  close(): Promise<void>;
}

/** Makes an empty database on the server `url` names, or on an embedded one in a temporary folder. */
export async function openBenchDatabase(
  url: string | undefined,
  log: (line: string) => void,
): Promise<BenchDatabase> {
  const server =
    url === undefined ? await startTemporaryServer(log) : { url, close: () => Promise.resolve() };
  const name = `sluice_bench_${randomBytes(5).toString('hex')}`;
  await run(server.url, [`CREATE DATABASE ${name}`]);
  const own = new URL(server.url);
  own.pathname = `/${name}`;
  await run(own.href, [...BARE_TABLES, BARE_CLIENTS, ...PROTOTYPE_TABLES]);
  return {
    url: own.href,
    async close() {
      await run(server.url, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]);
      await server.close();
    },
  };
}

/** Lets the planner know what is in the tables, and gets the checkpoint out of the way of what is measured next. */
export async function settle(url: string): Promise<void> {
  await run(url, ['ANALYZE', 'CHECKPOINT']).catch(() => undefined);
}

async function startTemporaryServer(log: (line: string) => void): Promise<BenchDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const postgres = await startEmbeddedPostgres({ dataDir, log });
    return {
      url: postgres.url,
      async close() {
        await postgres.close();
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

async function run(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
