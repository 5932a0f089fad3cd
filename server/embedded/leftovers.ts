import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findOutput, runProgram, type Tools } from './tools.ts';

const fastShutdownMs = 20_000;

/** What `postmaster.pid` says of the server that wrote it. */
export interface PostmasterFile {
  pid: number;
  status: string;
}

/**
 * Ends every PostgreSQL process that still works in this cluster, so that a new one can start: the server of
 * a gateway that was SIGKILLed (fast shutdown), and the children of a server that was SIGKILLed. Call it only
 * with the gateway lock held. A process is ours when it runs `postgres` inside this very folder; a reused pid
 * is not, and then the stale postmaster.pid is removed, because PostgreSQL would take it for a live server.
 */
export async function endLeftovers(
  tools: Tools,
  clusterDir: string,
  log: (message: string) => void,
): Promise<void> {
  if (process.platform === 'win32') return endOnWindows(tools, clusterDir);
  const file = await readPostmasterFile(clusterDir);
  if (file && (await isOurs(file.pid, clusterDir))) {
    log(`stopping a PostgreSQL (pid ${file.pid}) that an earlier Sluice left running`);
    await endPostmaster(file.pid, clusterDir);
  }
  const children = (await listOurs(clusterDir)).filter((pid) => signal(pid, 'SIGKILL'));
  await waitUntilGone(children, clusterDir, fastShutdownMs);
  if (file) await rm(join(clusterDir, 'postmaster.pid'), { force: true });
}

/** Reads `postmaster.pid`; nothing when there is none or it is not complete. */
export async function readPostmasterFile(clusterDir: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, status: lines[7]?.trim() ?? '' } : undefined;
}

async function endPostmaster(pid: number, clusterDir: string): Promise<void> {
  for (const [name, boundMs] of [['SIGINT', fastShutdownMs] as const, ['SIGQUIT', 5_000] as const]) {
    signal(pid, name);
    if (await waitUntilGone([pid], clusterDir, boundMs)) return;
  }
  signal(pid, 'SIGKILL');
}

async function waitUntilGone(pids: number[], clusterDir: string, boundMs: number): Promise<boolean> {
  let left = pids;
  for (let waited = 0; left.length > 0 && waited < boundMs; waited += 20) {
    const alive = await Promise.all(left.map((pid) => isOurs(pid, clusterDir)));
    left = left.filter((_, index) => alive[index]);
    if (left.length > 0) await sleep(20);
  }
  return left.length === 0;
}

async function isOurs(pid: number, clusterDir: string): Promise<boolean> {
  if (process.platform !== 'linux') return isOursByCommand(pid, clusterDir);
  const [program, folder, own] = await Promise.all([
    readlink(`/proc/${pid}/exe`).catch(() => ''),
    readlink(`/proc/${pid}/cwd`).catch(() => ''),
    realpath(clusterDir).catch(() => undefined),
  ]);
  // "postgres (deleted)" after the packages were installed again under a running server.
  return /^postgres\b/.test(basename(program)) && folder === own;
}

/** Without /proc: a postmaster carries its data folder in its command line (its children do not). */
async function isOursByCommand(pid: number, clusterDir: string): Promise<boolean> {
  const command = (await findOutput('ps', ['-ww', '-o', 'command=', '-p', String(pid)])) ?? '';
  return command.includes('postgres') && command.includes(`-D ${clusterDir} `);
}

async function listOurs(clusterDir: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const ours = await Promise.all(pids.map((pid) => isOurs(pid, clusterDir)));
  return pids.filter((_, index) => ours[index]);
}

/** pg_ctl reaches the server over a pipe named after its pid, which only a PostgreSQL opens. */
async function endOnWindows(tools: Tools, clusterDir: string): Promise<void> {
  if (!(await readPostmasterFile(clusterDir))) return;
  await runProgram(tools, 'pg_ctl', [
    'stop',
    '-D',
    clusterDir,
    '-m',
    'fast',
    '-w',
    '-t',
    String(fastShutdownMs / 1000),
  ]);
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
