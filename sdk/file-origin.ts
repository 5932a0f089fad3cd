import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { SluiceError } from './errors.ts';

/**
 * Tells an original store file from a copy or a restored backup of it.
 * A fresh token is written at every opening, into the database and into a side file; where the two disagree, or the
 * file is another one than last time (device, inode, birth time), the database is not what was last opened here.
 * A false alarm is harmless: the batchIds of the outbox stay, and the gateway applies each of them once.
 */

export interface Origin {
  token: string;
  /** Device, inode and birth time of the file. */
  file: string;
}

interface SideFile {
  token: string;
  /** While an opening is under way: the token before it, so that a crash in between is no false alarm. */
  previous?: string;
}

export function sidePath(path: string): string {
  return `${path}.incarnation`;
}

/** Whether the database that carries `origin` is the one last opened at this path. */
export function isOriginal(path: string, origin: Origin): boolean {
  const side = readSide(path);
  if (!side || origin.file !== fileIdentity(path)) return false;
  return side.token === origin.token || side.previous === origin.token;
}

/** First step of an opening: announces the next token on the side. */
export function announce(path: string, previous: string | undefined): Origin {
  const token = randomUUID();
  writeSide(path, previous === undefined ? { token } : { token, previous });
  return { token, file: fileIdentity(path) };
}

/** Last step, after the database has committed the token: an older backup is noticed from here on. */
export function confirm(path: string, origin: Origin): void {
  writeSide(path, { token: origin.token });
}

function fileIdentity(path: string): string {
  const stat = statSync(path, { bigint: true });
  return `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
}

function readSide(path: string): SideFile | undefined {
  try {
    const parsed = JSON.parse(readFileSync(sidePath(path), 'utf8')) as Partial<SideFile>;
    const { token, previous } = parsed;
    if (typeof token !== 'string') return undefined;
    return typeof previous === 'string' ? { token, previous } : { token };
  } catch {
    return undefined; // Missing or torn: then it cannot vouch for the database.
  }
}

function writeSide(path: string, side: SideFile): void {
  try {
    replaceSide(path, side);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError('store_failed', `the store could not be opened: ${why}`, { cause });
  }
}

function replaceSide(path: string, side: SideFile): void {
  const temporary = `${sidePath(path)}.tmp`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, `${JSON.stringify(side)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, sidePath(path));
}
