import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../server/embedded/embedded-postgres.ts';
import { EmbeddedPostgresError } from '../../server/embedded/errors.ts';

/** Everything a test opened, so that `dispose` can close it whatever happened. */
export interface Sandbox {
  root: string;
  dataDir: string;
  lines: string[];
  start(options?: Partial<EmbeddedPostgresOptions>): Promise<EmbeddedPostgres>;
  spawnOwner(options?: SpawnOptions & { dataDir?: string }): Promise<Owner>;
  dispose(): Promise<void>;
}

/** A process of its own that runs an embedded PostgreSQL. */
export interface Owner {
  child: ChildProcess;
  url: string;
  pid: number;
}

export async function createSandbox(): Promise<Sandbox> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'sluice-embedded-')));
  const dataDir = join(root, 'data');
  const lines: string[] = [];
  const running: EmbeddedPostgres[] = [];
  const children: ChildProcess[] = [];
  return {
    root,
    dataDir,
    lines,
    async start(options = {}) {
      const started = await startEmbeddedPostgres({ dataDir, log: (line) => lines.push(line), ...options });
      running.push(started);
      return started;
    },
    async spawnOwner(options = {}) {
      return spawnOwner(options.dataDir ?? dataDir, options, children);
    },
    async dispose() {
      await Promise.all(running.map((one) => one.close()));
      for (const child of children) child.kill('SIGTERM');
      await Promise.all(children.map(waitExit));
      await rm(root, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}

/** Runs one statement on a connection of its own. */
export async function query<T extends pg.QueryResultRow>(
  url: string,
  sql: string,
  values: unknown[] = [],
): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<T>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** Waits until a statement that begins like this is being run. */
export async function untilActive(url: string, beginning: string): Promise<void> {
  const sql = `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND starts_with(query, $1)`;
  await until(`${beginning} runs`, async () => (await query(url, sql, [beginning])).length === 1);
}

/** Asks until the answer is true; the bound only keeps a broken test from hanging. */
export async function until(what: string, ask: () => Promise<boolean> | boolean): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (await ask()) return;
    await sleep(50);
  }
  throw new Error(`never happened: ${what}`);
}

/** The code of the refusal, or what else happened. */
export async function refusal(attempt: Promise<unknown>): Promise<string> {
  return attempt.then(
    () => 'started',
    (error: unknown) => (error instanceof EmbeddedPostgresError ? error.code : String(error)),
  );
}

/** Whether a process exists and is more than a zombie that waits for its parent. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

export async function waitExit(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

async function spawnOwner(dataDir: string, options: SpawnOptions, children: ChildProcess[]): Promise<Owner> {
  const script = join(import.meta.dirname, 'owner-process.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: import.meta.dirname,
    ...options,
  });
  children.push(child);
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line.startsWith('{')) return { child, ...(JSON.parse(line) as { url: string; pid: number }) };
    said += line;
  }
  throw new Error(`the owner process ended: ${said}`);
}
