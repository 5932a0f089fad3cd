import { existsSync, statSync } from 'node:fs';
import { DatabaseSync } from '@photostructure/sqlite';
import type { Database } from '../sdk/file-store.ts';
import { AgentError, EXIT } from './errors.ts';

/** The ERP's file: opened only when it is there, never made; and noticed when it goes or is replaced. */

/** Throws AgentError 78 when there is no such file. */
export function openErp(path: string, options: { busyTimeoutMs: number; readOnly?: boolean }): Database {
  requireErp(path);
  return new DatabaseSync(path, { timeout: options.busyTimeoutMs, readOnly: options.readOnly ?? false });
}

export function requireErp(path: string): void {
  if (!existsSync(path)) throw new AgentError(EXIT.configuration, `There is no database at ${path}.`);
}

/** Device and inode; undefined: there is none. */
export function fileIdentity(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}`;
}

/** Runs fn in one BEGIN IMMEDIATE transaction. */
export function inTransaction<T>(database: Database, fn: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = fn();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
