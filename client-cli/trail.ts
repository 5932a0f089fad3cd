import type { Change, SnapshotRecord } from '../sdk/index.ts';
import type { Before } from './render.ts';

/** Remembers of each record what its next change is told by: the quantity in stock, the status of an order. */
export interface Trail {
  /** Records of a snapshot page. */
  see(records: readonly SnapshotRecord[]): void;
  /** What the record was before this change; from now on it is what the change made it. */
  step(change: Change): Before;
  /** The replica starts anew. */
  clear(): void;
}

export function createTrail(): Trail {
  const known = new Map<string, NonNullable<Before>>();
  const keyOf = ({ collection, id }: { collection: string; id: string }): string => `${collection}/${id}`;
  return {
    see(records) {
      for (const record of records) {
        const state = stateOf(record.data);
        if (state) known.set(keyOf(record), state);
      }
    },
    step(change) {
      const key = keyOf(change);
      const before = known.get(key);
      const state = change.op === 'put' && change.data ? stateOf(change.data) : undefined;
      if (state) known.set(key, state);
      else known.delete(key);
      // A record that was not there before counts from nothing.
      return before ?? (change.collection === 'stoku' ? { quantity: 0 } : undefined);
    },
    clear: () => known.clear(),
  };
}

function stateOf(data: Record<string, unknown>): NonNullable<Before> | undefined {
  const { quantity, status } = data;
  if (typeof quantity === 'number') return { quantity };
  return typeof status === 'string' ? { status } : undefined;
}
