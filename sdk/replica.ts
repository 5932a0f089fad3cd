import type { Change } from '../protocol/sync.ts';
import { SluiceError } from './errors.ts';
import type { ListOptions, Replica, StoredRecord } from './store.ts';

const PAGE = 200;
export const DEFAULT_LIST_LIMIT = 100;

/** What a change does to the replica, given the version stored for its record; undefined: nothing, it is stale. */
export function effectOf(change: Change, storedVersion: number | undefined): 'put' | 'remove' | undefined {
  // A log replayed behind a snapshot brings versions the snapshot already went past; equal ones are harmless.
  if (storedVersion !== undefined && change.recordVersion < storedVersion) return undefined;
  return change.op === 'put' ? 'put' : 'remove';
}

export function recordOf(change: Change): StoredRecord {
  const { collection, id, partition, recordVersion, data = {} } = change;
  return { collection, id, partition, data, recordVersion };
}

export function cursorMismatch(expected: string | null, from: string): SluiceError {
  return new SluiceError(
    'cursor_mismatch',
    `the frame starts at ${from}, the replica is at ${expected ?? 'nothing'}`,
  );
}

/** Iterates a collection over `list`, a page at a time. */
export async function* iterateByPages(
  replica: Pick<Replica, 'list'>,
  collection: string,
  options: { partition?: string } = {},
): AsyncGenerator<StoredRecord> {
  let after: string | undefined;
  for (;;) {
    const request: ListOptions = { ...options, limit: PAGE, ...(after === undefined ? {} : { after }) };
    const page = await replica.list(collection, request);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.id;
  }
}
