import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { openDatabase } from '../../server/db.ts';
import type { Database } from '../../server/db.ts';

/** The server the suite runs on: set by the root hooks (the embedded one, or the one TEST_DATABASE_URL names). */
let serverUrl: string | undefined;
let template: string | undefined;
const created = new Set<string>();

export function useServer(url: string): void {
  serverUrl = url;
}

/** Creates an empty database of one's own, cloned from a migrated template in milliseconds. Returns its URL. */
export async function createDatabase(): Promise<string> {
  template ??= await createTemplate();
  const name = `sluice_test_${randomBytes(6).toString('hex')}`;
  await admin(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  created.add(name);
  return urlOf(name);
}

/** Creates a database that no migration has touched. Returns its URL. */
export async function createBlankDatabase(): Promise<string> {
  const name = `sluice_test_${randomBytes(6).toString('hex')}`;
  await admin(`CREATE DATABASE ${name}`);
  created.add(name);
  return urlOf(name);
}

/** Opens a database of one's own. Close it with `close()`. */
export async function openTestDatabase(): Promise<Database & { url: string }> {
  const url = await createDatabase();
  return { ...(await openDatabase({ url, migrate: false })), url };
}

/** Drops every database this run created, cutting what is still connected. */
export async function dropDatabases(): Promise<void> {
  for (const name of [...created, ...(template === undefined ? [] : [template])]) {
    await admin(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }
}

async function createTemplate(): Promise<string> {
  const name = `sluice_template_${randomBytes(6).toString('hex')}`;
  await admin(`CREATE DATABASE ${name}`);
  const database = await openDatabase({ url: urlOf(name) });
  await database.close();
  return name;
}

function urlOf(name: string): string {
  if (serverUrl === undefined) throw new Error('no test server: the root hooks have not run');
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function admin(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
