import { deleteDB } from 'idb';
import type { SessionUser } from '../../../sdk/index.ts';

/** What this browser keeps of a person. People who share a browser do not share data: each name stands for one of them. */

const KEY = 'sluice.copy';

/** One local copy per user and tenant. */
export function copyName(user: SessionUser): string {
  const tenant = user['tenant_id'];
  return `sluice.${typeof tenant === 'number' || typeof tenant === 'string' ? tenant : 'own'}.${user.id}`;
}

export const waitingName = (copy: string): string => `${copy}.waiting`;
export const paceKey = (copy: string): string => `${copy}.pace`;

/** Notes whose copy is in use: a session may have ended by the time that it is to go, and then nobody says whose it was. */
export function noteCopy(copy: string): void {
  try {
    localStorage.setItem(KEY, copy);
  } catch {
    // A browser that keeps nothing has nothing to delete.
  }
}

/** Messages that were not sent go with the logout. */
export function forgetWaiting(): void {
  const copy = notedCopy();
  if (copy !== undefined) remove(waitingName(copy));
}

/** Deletes all of it: records, counts, messages. Done as soon as no tab has it open any more. */
export function forgetCopy(): void {
  const copy = notedCopy();
  if (copy === undefined) return;
  remove(copy);
  remove(waitingName(copy));
  localStorage.removeItem(paceKey(copy));
  localStorage.removeItem(KEY);
}

function notedCopy(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

function remove(database: string): void {
  // What cannot be deleted now belongs to a browser that keeps nothing.
  deleteDB(database).catch(() => undefined);
}
