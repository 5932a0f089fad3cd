import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from 'idb';
import { openDB } from 'idb';
import { v4 as uuidv4 } from 'uuid';
import type { Change } from '../protocol/sync.ts';
import { DEFAULT_MAX_OUTBOX, inboxEntryOf, outboxFull, prepareBatch } from './batch.ts';
import { SluiceError } from './errors.ts';
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

interface Schema extends DBSchema {
  meta: { key: string; value: { identity: Identity; position: Position } };
  outbox: { key: number; value: QueuedBatch; indexes: { batchId: string } };
  inbox: { key: number; value: InboxEntry; indexes: { batchId: string } };
  records: {
    key: [string, string];
    value: StoredRecord;
    indexes: { partition: [string, string, string] };
  };
}

type Tx = IDBPTransaction<Schema, StoreNames<Schema>[], 'readwrite'>;

/**
 * The durable store of browsers. One tab at a time owns it (Web Locks): `open` rejects with `store_in_use` in a
 * second tab, which may then use a memory store.
 */
export function createIndexedDbStore(name: string, options: StoreOptions = {}): Store {
  return new IndexedDbStore(name, options);
}

class IndexedDbStore implements Store {
  readonly #name: string;
  readonly #max: number;
  readonly #now: () => Date;
  readonly #listeners = new Set<() => void>();
  #database: IDBPDatabase<Schema> | undefined;
  #release: () => void = () => undefined;

  constructor(name: string, options: StoreOptions) {
    this.#name = name;
    this.#max = options.maxOutbox ?? DEFAULT_MAX_OUTBOX;
    this.#now = options.now ?? (() => new Date());
  }

  async open(): Promise<void> {
    if (this.#database) return;
    this.#release = await lock(`sluice:${this.#name}`);
    try {
      this.#database = await openDB<Schema>(this.#name, 1, { upgrade: createTables });
      await this.#write(['meta'], async (tx) => {
        const meta = tx.objectStore('meta');
        if (!(await meta.get('state'))) await meta.put(newState(), 'state');
      });
    } catch (error) {
      this.#database?.close();
      this.#database = undefined;
      this.#release();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#database?.close();
    this.#database = undefined;
    this.#release();
    return Promise.resolve();
  }

  async identity(): Promise<Identity> {
    return (await this.#state()).identity;
  }

  async position(): Promise<Position> {
    return (await this.#state()).position;
  }

  renewIncarnation({ newClient = false } = {}): Promise<Identity> {
    return this.#write(['meta', 'outbox'], async (tx) => {
      const outbox = tx.objectStore('outbox');
      const batches = await outbox.getAll();
      await outbox.clear();
      for (const [index, batch] of batches.entries()) void outbox.add({ ...batch, seq: index + 1 });
      const state = await readState(tx);
      const clientId = newClient ? uuidv4() : state.identity.clientId;
      const identity = { clientId, incarnation: uuidv4(), nextSeq: batches.length + 1 };
      await tx.objectStore('meta').put({ ...state, identity }, 'state');
      return identity;
    });
  }

  async enqueue(batch: NewBatch): Promise<QueuedBatch> {
    const prepared = prepareBatch(batch, this.#now());
    const queued = await this.#write(['meta', 'outbox'], async (tx) => {
      const outbox = tx.objectStore('outbox');
      const known = await outbox.index('batchId').get(prepared.batchId);
      if (known) return known;
      if ((await outbox.count()) >= this.#max) throw outboxFull(this.#max);
      const state = await readState(tx);
      const { nextSeq } = state.identity;
      const added = { ...prepared, seq: nextSeq };
      await outbox.add(added);
      const identity = { ...state.identity, nextSeq: nextSeq + 1 };
      await tx.objectStore('meta').put({ ...state, identity }, 'state');
      return added;
    });
    for (const listener of this.#listeners) listener();
    return queued;
  }

  outbox({ after, limit }: { after: number; limit: number }): Promise<QueuedBatch[]> {
    return this.#open().getAll('outbox', IDBKeyRange.lowerBound(after, true), limit);
  }

  outboxCount(): Promise<number> {
    return this.#open().count('outbox');
  }

  settle(settlements: readonly Settlement[]): Promise<QueuedBatch[]> {
    return this.#write(['outbox', 'inbox'], async (tx) => {
      const taken: QueuedBatch[] = [];
      for (const settlement of settlements) {
        const batch = await tx.objectStore('outbox').index('batchId').get(settlement.batchId);
        if (!batch) continue;
        await tx.objectStore('outbox').delete(batch.seq);
        const entry = inboxEntryOf(batch, settlement, this.#now());
        if (entry) await tx.objectStore('inbox').add(entry);
        taken.push(batch);
      }
      return taken;
    });
  }

  onEnqueued(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  inbox({ limit = DEFAULT_LIST_LIMIT }: { limit?: number } = {}): Promise<InboxEntry[]> {
    return this.#open().getAll('inbox', null, limit);
  }

  inboxCount(): Promise<number> {
    return this.#open().count('inbox');
  }

  async dismiss(batchId: string): Promise<void> {
    await this.#write(['inbox'], async (tx) => {
      const key = await tx.objectStore('inbox').index('batchId').getKey(batchId);
      if (key !== undefined) await tx.objectStore('inbox').delete(key);
    });
  }

  async discardReplica(scope: string): Promise<void> {
    await this.#write(['meta', 'records'], async (tx) => {
      await tx.objectStore('records').clear();
      await movePosition(tx, { cursor: null, page: null, scope });
    });
  }

  applyDelta({ from, to, changes }: DeltaWrite): Promise<Change[]> {
    return this.#write(['meta', 'records'], async (tx) => {
      const { position } = await readState(tx);
      if (position.cursor !== from) throw cursorMismatch(position.cursor, from);
      const applied: Change[] = [];
      for (const change of changes) if (await applyChange(tx, change)) applied.push(change);
      await movePosition(tx, { ...position, cursor: to });
      return applied;
    });
  }

  async applySnapshot({ page, at, more, records }: SnapshotWrite): Promise<void> {
    await this.#write(['meta', 'records'], async (tx) => {
      const { position } = await readState(tx);
      for (const record of records) void tx.objectStore('records').put(record);
      await movePosition(tx, { ...position, cursor: more ? null : at, page: more ? page : null });
    });
  }

  get(collection: string, id: string): Promise<StoredRecord | undefined> {
    return this.#open().get('records', [collection, id]);
  }

  list(collection: string, options: ListOptions = {}): Promise<StoredRecord[]> {
    const { partition, after, limit = DEFAULT_LIST_LIMIT } = options;
    if (partition === undefined) {
      const range = above([collection], after);
      return this.#open().getAll('records', range, limit);
    }
    return this.#open().getAllFromIndex('records', 'partition', above([collection, partition], after), limit);
  }

  iterate(collection: string, options?: { partition?: string }): AsyncIterable<StoredRecord> {
    return iterateByPages(this, collection, options);
  }

  count(collection: string, { partition }: { partition?: string } = {}): Promise<number> {
    if (partition === undefined) return this.#open().count('records', above([collection]));
    return this.#open().countFromIndex('records', 'partition', above([collection, partition]));
  }

  #open(): IDBPDatabase<Schema> {
    if (!this.#database) throw new SluiceError('closed', 'the store is not open');
    return this.#database;
  }

  async #state(): Promise<{ identity: Identity; position: Position }> {
    const state = await this.#open().get('meta', 'state');
    if (!state) throw new SluiceError('store_failed', 'the store has lost its identity');
    return state;
  }

  /** One transaction: done when it is complete on disk, undone when fn throws. */
  async #write<T>(stores: StoreNames<Schema>[], fn: (tx: Tx) => Promise<T>): Promise<T> {
    const tx = this.#open().transaction(stores, 'readwrite', { durability: 'strict' });
    // Awaited below; named here so that an abort is never an unhandled rejection.
    const done = tx.done.catch((error: unknown) => ({ error }));
    try {
      const result = await fn(tx);
      const failed = await done;
      if (failed) throw failed.error;
      return result;
    } catch (error) {
      abort(tx);
      await done;
      if (error instanceof SluiceError) throw error;
      throw new SluiceError('store_failed', 'the browser could not store it', { cause: error });
    }
  }
}

function createTables(database: IDBPDatabase<Schema>): void {
  database.createObjectStore('meta');
  database
    .createObjectStore('outbox', { keyPath: 'seq' })
    .createIndex('batchId', 'batchId', { unique: true });
  const inbox = database.createObjectStore('inbox', { autoIncrement: true });
  inbox.createIndex('batchId', 'batch.batchId');
  const records = database.createObjectStore('records', { keyPath: ['collection', 'id'] });
  records.createIndex('partition', ['collection', 'partition', 'id']);
}

function newState(): { identity: Identity; position: Position } {
  return {
    identity: { clientId: uuidv4(), incarnation: uuidv4(), nextSeq: 1 },
    position: { cursor: null, page: null, scope: null },
  };
}

async function readState(tx: Tx): Promise<{ identity: Identity; position: Position }> {
  const state = await tx.objectStore('meta').get('state');
  if (!state) throw new SluiceError('store_failed', 'the store has lost its identity');
  return state;
}

async function movePosition(tx: Tx, position: Position): Promise<void> {
  const state = await readState(tx);
  await tx.objectStore('meta').put({ ...state, position }, 'state');
}

async function applyChange(tx: Tx, change: Change): Promise<boolean> {
  const records = tx.objectStore('records');
  const stored = await records.get([change.collection, change.id]);
  const effect = effectOf(change, stored?.recordVersion);
  if (effect === 'put') await records.put(recordOf(change));
  else if (effect === 'remove') await records.delete([change.collection, change.id]);
  return effect !== undefined;
}

/** Keys that begin with a prefix, above an id. Arrays sort after strings, so `[]` closes the range. */
function above(prefix: string[], after?: string): IDBKeyRange {
  return IDBKeyRange.bound([...prefix, ...(after === undefined ? [] : [after])], [...prefix, []], true, true);
}

function abort(tx: Tx): void {
  try {
    tx.abort();
  } catch {
    // It had ended by itself already.
  }
}

/** Takes the lock for as long as the page lives or until released; where there are no Web Locks, nothing to take. */
function lock(name: string): Promise<() => void> {
  const locks = typeof navigator === 'undefined' ? undefined : (navigator.locks as LockManager | undefined);
  if (!locks) return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const held = (handle: Lock | null): Promise<void> => {
      if (!handle) reject(new SluiceError('store_in_use', 'another tab has this store open'));
      else return new Promise<void>((release) => resolve(release));
      return Promise.resolve();
    };
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}
