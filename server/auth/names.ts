import { z } from 'zod';
import { LIMITS } from '../../protocol/limits.ts';
import { isAddressBlock } from './ip-allow-list.ts';
import { SCOPE_PATTERN, SCOPES_SUPPORTED } from './roles.ts';

/** Whether PostgreSQL can store the text: no NUL, no unpaired surrogate. */
export function isStorable(content: string): boolean {
  return !content.includes('\0') && content.isWellFormed();
}

/** Any text that comes from outside and reaches the database. */
export const text = z.string().refine(isStorable, 'text without NUL and unpaired surrogates');

/** What usernames and e-mail addresses are compared by: `Ana`, `ana` and `ＡＮＡ` are one (S33). */
export function keyOf(name: string): string {
  return name.normalize('NFKC').toLowerCase().normalize('NFKC');
}

/**
 * What failed logins by a name are counted under, for one network: as it was typed, so that no count ties an address to a
 * username (S29).
 */
export function loginBy(tenantId: number, name: string): string {
  return `login ${tenantId} ${keyOf(name)}`;
}

const USERNAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{1,63}$/u;

/** Letters and marks among them that nobody sees: with them one name would look like another, or like nothing (S33). */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;

/** Letters, digits, `.`, `_`, `-`; 2 to 64 characters; never like an e-mail address. Kept in NFKC. */
export const username = z
  .string()
  .max(256)
  .transform((name) => name.normalize('NFKC'))
  .refine(
    (name) => USERNAME.test(name) && !INVISIBLE.test(name),
    'use 2 to 64 letters, digits, ".", "_" or "-"',
  );

export const email = z.email('write an e-mail address').max(254);

/** A partition as it is granted: `branch-12`, `branch-12:read`, `*`. A typo behind the colon must not grant the right to write. */
export const grant = z
  .string()
  .min(1)
  .max(LIMITS.partitionLength + ':read'.length)
  .regex(
    /^(\*|[^\s*:\p{C}]+)(:read)?$/u,
    'a partition such as branch-12 (to see and to write) or branch-12:read (to see); "*" is every one; only ":read" may follow',
  );

/** A role, built-in or a tenant's own. */
export const roleName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{1,62}$/, 'use 2 to 63 small letters, digits, "-" or "_", a letter first');

export const scope = z
  .string()
  .max(100)
  .refine((name) => SCOPE_PATTERN.test(name), {
    error: ({ input }) =>
      `there is no scope ${JSON.stringify(input)}: take ${SCOPES_SUPPORTED.join(', ')} or records:<collection>:read|write`,
  });

/** The solution of a challenge (auth/proof-of-work.ts). */
export const altcha = z.string().max(4_096).optional();

export const addressBlock = z.string().refine(isAddressBlock, 'an IP address or a CIDR block');

const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/** A moment, in ISO 8601 with an offset: of the years that every part of the gateway can tell. */
export const moment = z.iso
  .datetime({ offset: true })
  .transform((written) => new Date(written))
  .refine((at) => at.getTime() >= EARLIEST && at.getTime() <= LATEST, 'a moment of the years 1 to 9999');
