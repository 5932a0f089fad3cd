import { existsSync } from 'node:fs';
import { DatabaseSync } from '@photostructure/sqlite';
import { AgentError, EXIT, sqliteFaultOf } from './errors.ts';

/**
 * One agent per database. The lock is an exclusive SQLite transaction on a file beside it: the system gives it up with
 * the process, however that ends, on Windows as on Linux, and no stale pid file is left to be misread.
 */

export interface InstanceLock {
  release(): void;
}

export function lockPath(database: string): string {
  return `${database}.agent-lock`;
}

/** Long enough for one who only looked to be gone again. */
const WAIT_MS = 500;

/** Throws AgentError 1 when another agent has it. */
export function acquireLock(database: string): InstanceLock {
  const lock = new DatabaseSync(lockPath(database), { timeout: WAIT_MS });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (sqliteFaultOf(error) !== 'busy') throw error;
    throw new AgentError(EXIT.fault, `Another agent is running on ${database}: stop it first.`);
  }
  return { release: () => lock.close() };
}

/** Whether an agent is running on a database. */
export function isLocked(database: string): boolean {
  if (!existsSync(lockPath(database))) return false;
  const lock = new DatabaseSync(lockPath(database), { timeout: 0 });
  try {
    lock.prepare('SELECT count(*) FROM sqlite_master').get();
    return false;
  } catch (error) {
    if (sqliteFaultOf(error) === 'busy') return true;
    throw error;
  } finally {
    lock.close();
  }
}
