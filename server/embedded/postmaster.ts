import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile, rename, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { databaseName } from './cluster.ts';
import { asDataDirError, diskFull, EmbeddedPostgresError, findErrno } from './errors.ts';
import { readPostmasterFile } from './leftovers.ts';
import { runProgram, spawnProgram, type Tools } from './tools.ts';

/** How a server ended. */
export interface PostmasterExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface PostmasterPlace {
  clusterDir: string;
  /** `<dataDir>/postgres.log`, appended to. */
  logFile: string;
  port: number;
  password: string;
}

/** One run of the server, ready for connections. */
export interface Postmaster {
  pid: number;
  version: string;
  exited: Promise<PostmasterExit>;
  stop(): Promise<void>;
}

const fastShutdownMs = 30_000;
const immediateShutdownMs = 5_000;
const rotateLogBytes = 10 * 1024 * 1024;
// A Unix socket's path may be about 104 bytes; a longer one costs only the socket, clients use TCP.
const socketPathBytes = 100;

/**
 * Starts the server and waits until it accepts connections, however long crash recovery takes.
 *
 * @throws EmbeddedPostgresError port_in_use, disk_full, password_mismatch, start_failed
 */
export async function startPostmaster(
  tools: Tools,
  place: PostmasterPlace,
  log: (message: string) => void,
): Promise<Postmaster> {
  const logHandle = await openLog(place.logFile);
  const { size } = await logHandle.stat();
  const child = spawnProgram(tools, 'postgres', serverArguments(place), [
    'ignore',
    logHandle.fd,
    logHandle.fd,
  ]);
  const exited = watchExit(child);
  await logHandle.close();
  const watchdog = startWatchdog(child, place.clusterDir);
  void exited.then(() => watchdog?.kill('SIGKILL'));
  const stop = (): Promise<void> => stopServer(tools, { child, exited, clusterDir: place.clusterDir });
  const ready = await Promise.race([waitReady(child, place, log), exited.then(() => undefined)]);
  if (!ready) throw await describeFailure(place, size);
  try {
    const version = await ensureDatabase(place);
    return { pid: child.pid ?? 0, version, exited, stop };
  } catch (error) {
    await stop();
    throw asConnectionError(error);
  }
}

/** The address clients use; the host is always 127.0.0.1. */
export function databaseUrl(place: PostmasterPlace): string {
  return `postgresql://${databaseName}:${encodeURIComponent(place.password)}@127.0.0.1:${place.port}/${databaseName}`;
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    const existing = await stat(path).catch(() => undefined);
    if (existing && existing.size > rotateLogBytes) await rename(path, `${path}.1`);
    return await open(path, 'a', 0o600);
  } catch (error) {
    throw asDataDirError(error, path);
  }
}

/** What the promises rest on is set here, where a file or ALTER SYSTEM cannot undo it. */
function serverArguments(place: PostmasterPlace): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(place.port),
    unix_socket_directories: socketDirectory(place),
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    password_encryption: 'scram-sha-256',
    logging_collector: 'off',
    log_destination: 'stderr',
    // Statements and failing rows hold people's data; the log is for the server's own troubles.
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
  };
  const list = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', place.clusterDir, ...list];
}

function socketDirectory({ clusterDir, port }: PostmasterPlace): string {
  const path = join(clusterDir, `.s.PGSQL.${port}.lock`);
  if (process.platform === 'win32' || Buffer.byteLength(path) > socketPathBytes) return '';
  return `"${clusterDir.replaceAll('"', '""')}"`;
}

async function watchExit(child: ChildProcess): Promise<PostmasterExit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

/**
 * A tiny shell that holds the reading end of a pipe of ours: when the gateway dies, however it dies, the pipe
 * closes and the shell asks the server for a fast shutdown, if it is still the server of this folder.
 */
function startWatchdog(child: ChildProcess, clusterDir: string): ChildProcess | undefined {
  if (process.platform === 'win32' || child.pid === undefined) return undefined;
  const script = 'read -r _; read -r pid <"$2" && [ "$pid" = "$1" ] && kill -INT "$1"';
  const args = ['-c', script, 'sluice-watchdog', String(child.pid), join(clusterDir, 'postmaster.pid')];
  const watchdog = spawn('/bin/sh', args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
  watchdog.on('error', () => undefined);
  watchdog.stdin.on('error', () => undefined);
  watchdog.unref();
  return watchdog;
}

async function waitReady(
  child: ChildProcess,
  place: PostmasterPlace,
  log: (message: string) => void,
): Promise<true | undefined> {
  for (let polls = 1; child.exitCode === null && child.signalCode === null; polls += 1) {
    const file = await readPostmasterFile(place.clusterDir);
    if (file && file.pid === child.pid && file.status === 'ready') return true;
    await sleep(20);
    if (polls % 250 === 0) log('PostgreSQL is still starting (recovering after a crash may take a while)');
  }
  return undefined;
}

async function ensureDatabase(place: PostmasterPlace): Promise<string> {
  const { port, password } = place;
  const database = 'postgres';
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: databaseName,
    password,
    database,
    ssl: false,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [databaseName]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${databaseName}`);
    const version = await client.query<{ server_version: string }>('SHOW server_version');
    return version.rows[0]?.server_version ?? '';
  } finally {
    await client.end();
  }
}

async function stopServer(
  tools: Tools,
  run: { child: ChildProcess; exited: Promise<PostmasterExit>; clusterDir: string },
): Promise<void> {
  const gone = (boundMs: number): Promise<boolean> => {
    const bound = new AbortController();
    return Promise.race([
      run.exited.then(() => true),
      sleep(boundMs, false, { signal: bound.signal }).catch(() => false),
    ]).finally(() => bound.abort());
  };
  // Node's kill on Windows ends a process at once; only pg_ctl can ask.
  if (process.platform === 'win32')
    await runProgram(tools, 'pg_ctl', ['stop', '-D', run.clusterDir, '-m', 'fast']);
  else run.child.kill('SIGINT');
  if (await gone(fastShutdownMs)) return;
  run.child.kill('SIGQUIT');
  if (await gone(immediateShutdownMs)) return;
  run.child.kill('SIGKILL');
  await run.exited;
}

async function describeFailure(place: PostmasterPlace, logOffset: number): Promise<EmbeddedPostgresError> {
  const text = (await readFile(place.logFile).catch(() => Buffer.alloc(0)))
    .subarray(logOffset)
    .toString('utf8');
  if (/no space left|disk quota/i.test(text)) return diskFull(place.clusterDir);
  if (/address already in use|could not create any TCP\/IP sockets/i.test(text)) {
    return new EmbeddedPostgresError(
      'port_in_use',
      `port ${place.port} on 127.0.0.1 is taken by another program`,
    );
  }
  const reason = text.split('\n').filter((line) => /\b(FATAL|PANIC|ERROR|error)\b/.test(line));
  const said =
    reason.slice(-3).join(' | ') || text.trim().split('\n').slice(-2).join(' | ') || 'it said nothing';
  return new EmbeddedPostgresError(
    'start_failed',
    `PostgreSQL did not start: ${said} (see ${place.logFile})`,
  );
}

function asConnectionError(error: unknown): unknown {
  if (findErrno(error) === '28P01') {
    const message =
      'the database refuses the password in postgres.password: delete that file, a new one is then made';
    return new EmbeddedPostgresError('password_mismatch', message, error);
  }
  if (findErrno(error) === '53100') return diskFull('the database', error);
  return new EmbeddedPostgresError('start_failed', 'PostgreSQL started, but could not be used', error);
}
