import type { Principal } from './principal.ts';

/** Who may do what: one line a rule, used where data is read or written, not only at the door. */

export function hasScope(principal: Principal, scope: string): boolean {
  return principal.scopes.has(scope) || principal.scopes.has('admin');
}

export function mayReadCollection(principal: Principal, collection: string): boolean {
  return hasScope(principal, 'sync:read') || hasScope(principal, `records:${collection}:read`);
}

export function mayWriteCollection(principal: Principal, collection: string): boolean {
  return hasScope(principal, 'sync:write') || hasScope(principal, `records:${collection}:write`);
}

export function mayReadPartition(principal: Principal, partition: string): boolean {
  return principal.grants.read.has('*') || principal.grants.read.has(partition);
}

export function mayWritePartition(principal: Principal, partition: string): boolean {
  return principal.grants.write.has('*') || principal.grants.write.has(partition);
}

export function mayReadRecord(principal: Principal, collection: string, partition: string): boolean {
  return mayReadCollection(principal, collection) && mayReadPartition(principal, partition);
}

/** Whether a record there may be told of at all; of any other, a refusal must not tell that there is one (V6). */
export function mayKnowOf(principal: Principal, collection: string, partition: string): boolean {
  return mayWritePartition(principal, partition) || mayReadRecord(principal, collection, partition);
}
