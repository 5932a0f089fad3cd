import { AppError } from '../../protocol/errors.ts';
import type { Change, Subscription } from '../../protocol/sync.ts';
import { mayReadCollection, mayReadPartition } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { Collections } from './collections.ts';
import type { LoggedChange } from './rows.ts';
import { scopeHash } from './cursor.ts';

/** The slice of a tenant's log that a subscriber sees: what it asked for, cut to what it may read. */
export interface Scope {
  /** Partitions by collection; null stands for all of them. */
  collections: ReadonlyMap<string, ReadonlySet<string> | null>;
  /** Same for everyone who sees the same slice, so that a frame is made once for all of them. */
  key: string;
}

/**
 * Builds the scope of a subscription. Throws AppError `unknown_collection`, `forbidden` or `forbidden_partition`
 * rather than leaving something out silently.
 */
export function createScope(
  principal: Principal,
  collections: Collections,
  subscriptions: readonly Subscription[],
): Scope {
  const entries = new Map<string, ReadonlySet<string> | null>();
  for (const { collection, partitions } of subscriptions) {
    if (!collections.has(collection)) {
      throw new AppError('unknown_collection', { message: `There is no collection ${collection}.` });
    }
    if (!mayReadCollection(principal, collection) || collections.get(collection)?.numbered !== undefined) {
      throw new AppError('forbidden', { message: `You may not read ${collection} here.` });
    }
    const refused = partitions?.find((partition) => !mayReadPartition(principal, partition));
    if (refused !== undefined) {
      throw new AppError('forbidden_partition', { message: `You may not read the partition ${refused}.` });
    }
    const { read } = principal.grants;
    entries.set(collection, partitions ? new Set(partitions) : read.has('*') ? null : read);
  }
  return { collections: entries, key: scopeHash(canonicalScope(entries)) };
}

/** The changes as the scope's subscribers see them: a record that left the slice is evicted, the rest left out. */
export function viewOf(scope: Scope, changes: readonly LoggedChange[]): Change[] {
  const visible: Change[] = [];
  for (const change of changes) {
    if (sees(scope, change.collection, change.partition)) visible.push(toChange(change, change.op));
    else if (change.prevPartition !== null && sees(scope, change.collection, change.prevPartition)) {
      visible.push({ ...toChange(change, 'evict'), partition: change.prevPartition });
    }
  }
  return visible;
}

export function sees(scope: Scope, collection: string, partition: string): boolean {
  const partitions = scope.collections.get(collection);
  return partitions === null || partitions?.has(partition) === true;
}

function toChange(change: LoggedChange, op: Change['op']): Change {
  return {
    version: change.version,
    index: change.index,
    collection: change.collection,
    id: change.id,
    op,
    partition: change.partition,
    ...(op === 'put' && change.data ? { data: change.data } : {}),
    recordVersion: change.recordVersion,
    at: change.at,
    by: change.by,
  };
}

function canonicalScope(entries: ReadonlyMap<string, ReadonlySet<string> | null>): string {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(sorted.map(([name, partitions]) => [name, partitions && [...partitions].sort()]));
}
