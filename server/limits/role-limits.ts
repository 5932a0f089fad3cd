import { z } from 'zod';
import { BUILT_IN_ROLES, isBuiltIn } from '../auth/roles.ts';

/** Numbers by role. `Infinity`: no limit. */
export type RoleLimits = ReadonlyMap<string, number>;

/** What API keys stand under, which have no role. */
export const API_KEY_ROLE = 'api_key';
/** A role of a tenant's own counts as this one, unless it has a number of its own. */
const ROLE_OF_PEOPLE = 'member';

const ROLES: readonly string[] = [...BUILT_IN_ROLES, API_KEY_ROLE];
const MOST = 1_000_000_000;
const ALLOWED = `roles (${ROLES.join(', ')}) with a whole number from 1 to ${MOST} each, or none, and commas between them, such as member=3000,service=none`;

/** Reads `member=3000,service=none`; what is not named has the number in `defaults`. */
export function roleLimits(defaults: Record<string, number>): z.ZodType<RoleLimits, string> {
  return z
    .string()
    .refine(areLimits, ALLOWED)
    .transform((text) => new Map([...Object.entries(defaults), ...entriesOf(text)]));
}

/** Requests of a caller in a window, by role: devices have the general number unless they are given another. */
export function requestLimits(config: {
  RATE_LIMIT_ROLES: RoleLimits;
  RATE_LIMIT_MAX_REQUESTS: number;
}): RoleLimits {
  return new Map([['anonymous', config.RATE_LIMIT_MAX_REQUESTS], ...config.RATE_LIMIT_ROLES]);
}

/** The number of a role, built-in or not; undefined: none is given for it. */
export function limitOf(limits: RoleLimits, role: string): number | undefined {
  return limits.get(isBuiltIn(role) || role === API_KEY_ROLE ? role : ROLE_OF_PEOPLE);
}

function areLimits(text: string): boolean {
  const entries = entriesOf(text);
  const names = entries.map(([name]) => name);
  const fit = entries.every(([name, points]) => ROLES.includes(name) && points >= 1);
  return fit && new Set(names).size === names.length;
}

/** One that does not parse has NaN. */
function entriesOf(text: string): [string, number][] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter(Boolean).map((part) => {
    const [, name = '', points = ''] = /^([a-z_]+)=(none|[1-9]\d{0,9})$/.exec(part) ?? [];
    const number = points === 'none' ? Infinity : Number(points || NaN);
    return [name, number <= MOST || number === Infinity ? number : NaN];
  });
}
