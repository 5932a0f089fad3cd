import { randomUUID } from 'node:crypto';
import { link, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waiting for another process: a refresh takes milliseconds; one that hangs is given up by its HTTP time-out. */
const POLL_MS = 25;
const GIVE_UP_MS = 30_000;
/** A lock whose owner cannot be asked (another machine on a shared home) is taken over after this time. */
const STALE_MS = 60_000;

/**
 * Runs fn while holding the lock file `<path>.lock`. The lock of a process that died is taken over.
 * Throws when the lock cannot be had within 30 s.
 */
export async function withFileLock<T>(path: string, fn: () => Promise<T>): Promise<T> {
  const lockPath = `${path}.lock`;
  await acquire(lockPath);
  try {
    return await fn();
  } finally {
    await rm(lockPath, { force: true });
  }
}

async function acquire(lockPath: string): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  while (!(await tryLock(lockPath))) {
    await breakStale(lockPath);
    if (Date.now() > deadline) throw new Error(`The session is in use by another process (${lockPath}).`);
    await sleep(POLL_MS);
  }
}

async function tryLock(lockPath: string): Promise<boolean> {
  try {
    const file = await open(lockPath, 'wx', 0o600);
    await file.writeFile(String(process.pid)).finally(() => file.close());
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Moves the lock of a dead owner aside. Two processes may try: what was moved is looked at, and put back if alive. */
async function breakStale(lockPath: string): Promise<void> {
  if (!(await isStale(lockPath))) return;
  const aside = `${lockPath}.${randomUUID()}`;
  try {
    await rename(lockPath, aside);
  } catch {
    return; // Another one was faster.
  }
  if (!(await isStale(aside))) await link(aside, lockPath).catch(() => undefined);
  await rm(aside, { force: true });
}

async function isStale(path: string): Promise<boolean> {
  try {
    const [owner, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    if (Date.now() - mtimeMs > STALE_MS) return true;
    // Empty: its owner is between creating and writing it.
    return owner !== '' && !isAlive(Number(owner));
  } catch {
    return false; // Gone meanwhile.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
