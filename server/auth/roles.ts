/** What each role of a person may do. */
const ROLES = {
  owner: ['admin', 'sync:read', 'sync:write', 'config:read', 'audit:read', 'rpc:call', 'chat'],
  admin: ['admin', 'sync:read', 'sync:write', 'config:read', 'audit:read', 'rpc:call', 'chat'],
  operator: ['sync:read', 'sync:write', 'config:read', 'chat'],
  auditor: ['sync:read', 'audit:read', 'chat'],
  member: ['sync:read', 'chat'],
} as const;

export type Role = keyof typeof ROLES;

export const ROLE_NAMES = Object.keys(ROLES) as [Role, ...Role[]];

/** Scopes of a role; none for a role this version does not know. */
export function scopesOfRole(role: string): readonly string[] {
  return isRole(role) ? ROLES[role] : [];
}

/** Stored grants of a person: owners and administrators see every partition, others what they were given. */
export function grantsOfRole(role: string, partitions: readonly string[]): readonly string[] {
  return role === 'owner' || role === 'admin' ? ['*'] : partitions;
}

function isRole(role: string): role is Role {
  return Object.hasOwn(ROLES, role);
}

/** Scopes that an OAuth client can be registered for (CONTRACT, "Machines"). */
export const SCOPE_PATTERN =
  /^(sync:read|sync:write|config:read|audit:read|rpc:call|chat|admin|records:[a-z][a-z0-9_-]{0,62}:(read|write))$/;

export const SCOPES_SUPPORTED = [
  'sync:read',
  'sync:write',
  'config:read',
  'audit:read',
  'rpc:call',
  'chat',
  'admin',
];
