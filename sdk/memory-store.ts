import { v4 as uuidv4 } from 'uuid';
import type { Change } from '../protocol/sync.ts';
import { DEFAULT_MAX_OUTBOX, inboxEntryOf, outboxFull, prepareBatch } from './batch.ts';
import { cursorMismatch, DEFAULT_LIST_LIMIT, effectOf, iterateByPages, recordOf } from './replica.ts';
import type {
  DeltaWrite,
  Identity,
  InboxEntry,
  ListOptions,
  NewBatch,
  Position,
  QueuedBatch,
  Settlement,
  SnapshotWrite,
  Store,
  StoredRecord,
  StoreOptions,
} from './store.ts';

/** A store that forgets everything with the process: for tests, and pages that only watch. */
export function createMemoryStore(options: StoreOptions = {}): Store {
  return new MemoryStore(options);
}

class MemoryStore implements Store {
  readonly #max: number;
  readonly #now: () => Date;
  readonly #listeners = new Set<() => void>();
  #identity: Identity = { clientId: uuidv4(), incarnation: uuidv4(), nextSeq: 1 };
  #position: Position = { cursor: null, page: null, scope: null };
  /** In seq order: a Map keeps the order of insertion. */
  #outbox = new Map<string, QueuedBatch>();
  #inbox = new Map<string, InboxEntry>();
  #collections = new Map<string, SortedRecords>();

  constructor(options: StoreOptions) {
    this.#max = options.maxOutbox ?? DEFAULT_MAX_OUTBOX;
    this.#now = options.now ?? (() => new Date());
  }

  open = (): Promise<void> => Promise.resolve();
  close = (): Promise<void> => Promise.resolve();
  identity = (): Promise<Identity> => Promise.resolve({ ...this.#identity });
  position = (): Promise<Position> => Promise.resolve({ ...this.#position });
  outboxCount = (): Promise<number> => Promise.resolve(this.#outbox.size);
  inboxCount = (): Promise<number> => Promise.resolve(this.#inbox.size);

  renewIncarnation({ newClient = false } = {}): Promise<Identity> {
    const batches = [...this.#outbox.values()].map((batch, index) => ({ ...batch, seq: index + 1 }));
    this.#outbox = new Map(batches.map((batch) => [batch.batchId, batch]));
    const clientId = newClient ? uuidv4() : this.#identity.clientId;
    this.#identity = { clientId, incarnation: uuidv4(), nextSeq: batches.length + 1 };
    return this.identity();
  }

  async enqueue(batch: NewBatch): Promise<QueuedBatch> {
    await Promise.resolve();
    const known = batch.batchId === undefined ? undefined : this.#outbox.get(batch.batchId);
    if (known) return known;
    const prepared = prepareBatch(batch, this.#now());
    if (this.#outbox.size >= this.#max) throw outboxFull(this.#max);
    // A copy: the caller may go on changing its objects.
    const queued = structuredClone({ ...prepared, seq: this.#identity.nextSeq });
    this.#identity.nextSeq += 1;
    this.#outbox.set(queued.batchId, queued);
    for (const listener of this.#listeners) listener();
    return queued;
  }

  outbox({ after, limit }: { after: number; limit: number }): Promise<QueuedBatch[]> {
    const found: QueuedBatch[] = [];
    for (const batch of this.#outbox.values()) {
      if (found.length >= limit) break;
      if (batch.seq > after) found.push(batch);
    }
    return Promise.resolve(found);
  }

  settle(settlements: readonly Settlement[]): Promise<QueuedBatch[]> {
    const taken: QueuedBatch[] = [];
    for (const settlement of settlements) {
      const batch = this.#outbox.get(settlement.batchId);
      if (!batch) continue;
      this.#outbox.delete(batch.batchId);
      const entry = inboxEntryOf(batch, settlement, this.#now());
      if (entry) this.#inbox.set(batch.batchId, entry);
      taken.push(batch);
    }
    return Promise.resolve(taken);
  }

  onEnqueued(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  inbox({ limit = DEFAULT_LIST_LIMIT }: { limit?: number } = {}): Promise<InboxEntry[]> {
    return Promise.resolve([...this.#inbox.values()].slice(0, limit));
  }

  dismiss(batchId: string): Promise<void> {
    this.#inbox.delete(batchId);
    return Promise.resolve();
  }

  discardReplica(scope: string): Promise<void> {
    this.#collections.clear();
    this.#position = { cursor: null, page: null, scope };
    return Promise.resolve();
  }

  async applyDelta({ from, to, changes }: DeltaWrite): Promise<Change[]> {
    await Promise.resolve();
    if (from !== this.#position.cursor) throw cursorMismatch(this.#position.cursor, from);
    this.#position.cursor = to;
    return changes.filter((change) => this.#applyChange(change));
  }

  applySnapshot({ page, at, more, records }: SnapshotWrite): Promise<void> {
    for (const record of records) this.#records(record.collection).set(record);
    this.#position = { ...this.#position, cursor: more ? null : at, page: more ? page : null };
    return Promise.resolve();
  }

  get(collection: string, id: string): Promise<StoredRecord | undefined> {
    return Promise.resolve(this.#collections.get(collection)?.get(id));
  }

  list(collection: string, options: ListOptions = {}): Promise<StoredRecord[]> {
    return Promise.resolve(this.#collections.get(collection)?.list(options) ?? []);
  }

  iterate(collection: string, options?: { partition?: string }): AsyncIterable<StoredRecord> {
    return iterateByPages(this, collection, options);
  }

  count(collection: string, { partition }: { partition?: string } = {}): Promise<number> {
    return Promise.resolve(this.#collections.get(collection)?.count(partition) ?? 0);
  }

  #applyChange(change: Change): boolean {
    const records = this.#records(change.collection);
    const effect = effectOf(change, records.get(change.id)?.recordVersion);
    if (effect === 'put') records.set(recordOf(change));
    else if (effect === 'remove') records.delete(change.id);
    return effect !== undefined;
  }

  #records(collection: string): SortedRecords {
    let records = this.#collections.get(collection);
    if (!records) this.#collections.set(collection, (records = new SortedRecords()));
    return records;
  }
}

/** One collection, sorted by id when it is listed. */
class SortedRecords {
  readonly #byId = new Map<string, StoredRecord>();
  #ids: string[] | undefined;

  get(id: string): StoredRecord | undefined {
    return this.#byId.get(id);
  }

  set(record: StoredRecord): void {
    if (!this.#byId.has(record.id)) this.#ids = undefined;
    this.#byId.set(record.id, record);
  }

  delete(id: string): void {
    if (this.#byId.delete(id)) this.#ids = undefined;
  }

  count(partition: string | undefined): number {
    if (partition === undefined) return this.#byId.size;
    let count = 0;
    for (const record of this.#byId.values()) if (record.partition === partition) count += 1;
    return count;
  }

  list({ partition, limit = DEFAULT_LIST_LIMIT, after }: ListOptions): StoredRecord[] {
    const ids = (this.#ids ??= [...this.#byId.keys()].sort());
    const found: StoredRecord[] = [];
    for (let i = after === undefined ? 0 : firstAbove(ids, after); i < ids.length; i += 1) {
      if (found.length >= limit) break;
      const record = this.#byId.get(ids[i] ?? '');
      if (record && (partition === undefined || record.partition === partition)) found.push(record);
    }
    return found;
  }
}

function firstAbove(ids: readonly string[], after: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
