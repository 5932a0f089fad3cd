import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { AppError } from '../../protocol/errors.ts';
import { createGate } from '../gate.ts';
import { isCommonPassword } from './common-passwords.ts';
import { COST, hashing } from './hashing.ts';

const MIN_LENGTH = 8;
const MAX_LENGTH = 256;
/** One processor is left for everybody else. */
const CONCURRENCY = Math.max(1, Math.min(2, availableParallelism() - 1));
/** Waiting computations: 25 ms each, so the last in the queue waits some 3 s, or 6 s on two processors. */
const MAX_WAITING = 256;

/** Hashes and checks passwords, a bounded number at a time. Both throw `busy` when the queue is full (S31). */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** Without a stored hash it computes as long on a dummy and answers false (S29). */
  verify(stored: string | undefined, password: string): Promise<boolean>;
}

export function createPasswordHasher(
  options: { concurrency?: number; maxWaiting?: number } = {},
): PasswordHasher {
  const gate = createGate(options.concurrency ?? CONCURRENCY, options.maxWaiting ?? MAX_WAITING);
  const dummy = createDummy();
  return {
    hash: (password) => gate(() => hashing.hash(normalize(password))),
    async verify(stored, password) {
      // a password that could never have been set still costs one computation, of bounded length
      const candidate = isTooLong(password) ? '' : normalize(password);
      const matches = await gate(() => hashing.verify(stored ?? dummy, candidate));
      return matches && stored !== undefined && candidate !== '';
    },
  };
}

/** A hash that no password has: it costs what a stored one does. */
function createDummy(): string {
  const random = (bytes: number): string => randomBytes(bytes).toString('base64').replaceAll('=', '');
  const { memoryCost, timeCost, parallelism } = COST;
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${random(16)}$${random(32)}`;
}

/**
 * Refuses a password that may not be set: length 8 to 256 characters after NFKC, none of the common ones, not one's own name.
 * Nothing is truncated, and no classes of characters are demanded. Throws `invalid_request` or `password_refused`.
 */
export function requireAcceptablePassword(password: string, names: readonly string[]): void {
  const fault = (message: string): AppError =>
    new AppError('invalid_request', { errors: [{ path: 'password', message }] });
  if (isTooLong(password)) throw fault(`at most ${MAX_LENGTH} characters`);
  const normalized = normalize(password);
  const length = Array.from(normalized).length;
  if (length > MAX_LENGTH) throw fault(`at most ${MAX_LENGTH} characters`);
  if (length < MIN_LENGTH) throw fault(`at least ${MIN_LENGTH} characters`);
  const lower = normalized.toLowerCase();
  const ownName = names.some((name) => lower === name.normalize('NFKC').toLowerCase());
  if (ownName || isCommonPassword(lower)) throw new AppError('password_refused');
}

/** Refused by its raw length, before anything is computed from it. */
function isTooLong(password: string): boolean {
  return password.length > MAX_LENGTH * 4;
}

function normalize(password: string): string {
  return password.normalize('NFKC');
}
