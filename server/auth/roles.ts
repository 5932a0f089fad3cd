/**
 * What each role may do. `anonymous` is a device that nobody has logged in on; a `service` is an OAuth client, and may do what it
 * is registered for. People have one of the others, or one that their tenant made (custom-roles.ts).
 */
const ROLES = {
  owner: ['admin', 'sync:read', 'sync:write', 'config:read', 'audit:read', 'rpc:call', 'chat'],
  admin: ['admin', 'sync:read', 'sync:write', 'config:read', 'audit:read', 'rpc:call', 'chat'],
  operator: ['sync:read', 'sync:write', 'config:read', 'chat'],
  auditor: ['sync:read', 'audit:read', 'chat'],
  member: ['sync:read', 'chat'],
  anonymous: ['sync:read'],
  service: [],
} as const;

type BuiltInRole = keyof typeof ROLES;

export const BUILT_IN_ROLES = Object.keys(ROLES) as BuiltInRole[];

/** Roles that no person has. */
export const ROLES_OF_MACHINES: readonly string[] = ['anonymous', 'service'];

/** Scopes of a role: a built-in one's, else what the tenant gave its own; none for a role that nobody knows. */
export function scopesOfRole(role: string, own: readonly string[] | null = null): readonly string[] {
  return isBuiltIn(role) ? ROLES[role] : (own ?? []);
}

/** Stored grants of a person: owners and administrators see every partition, others what they were given. */
export function grantsOfRole(role: string, partitions: readonly string[]): readonly string[] {
  return role === 'owner' || role === 'admin' ? ['*'] : partitions;
}

export function isBuiltIn(role: string): role is BuiltInRole {
  return Object.hasOwn(ROLES, role);
}

/** Scopes that an OAuth client can be registered for (CONTRACT, "Machines"). */
export const SCOPE_PATTERN =
  /^(sync:read|sync:write|config:read|audit:read|auth:revocations|rpc:call|chat|admin|records:[a-z][a-z0-9_-]{0,62}:(read|write))$/;

export const SCOPES_SUPPORTED = [
  'sync:read',
  'sync:write',
  'config:read',
  'audit:read',
  'auth:revocations',
  'rpc:call',
  'chat',
  'admin',
];
