import { DatabaseSync } from '@photostructure/sqlite';
import type { Change, SnapshotRecord } from '../protocol/sync.ts';
import { DEFAULT_MAX_OUTBOX, inboxEntryOf, outboxFull, prepareBatch } from './batch.ts';
import type { Deferred } from './deferred.ts';
import { deferred } from './deferred.ts';
import { toError } from './emitter.ts';
import { SluiceError } from './errors.ts';
import { create, readIdentity, readOrigin, readPosition, renew, writePosition } from './file-meta.ts';
import type { Origin } from './file-origin.ts';
import { announce, confirm, isOriginal } from './file-origin.ts';
import type { Database, FileTables } from './file-tables.ts';
import { createFileTables, createTables } from './file-tables.ts';
import { cursorMismatch, DEFAULT_LIST_LIMIT, iterateByPages } from './replica.ts';
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

/** The durable store of Node clients, on SQLite; its tables are prefixed `sluice_`. Not for browsers. */

export type { Database } from './file-tables.ts';

/**
 * Run inside the store's own transaction, synchronously: what they write is committed together with the cursor, and
 * when one throws, nothing of the frame is stored and the client drops the connection and tries again.
 * They must not begin or end a transaction.
 */
export interface FileStoreHooks {
  /** Changes that take effect, in order, before the cursor is saved. */
  onApply?: (changes: readonly Change[], database: Database) => void;
  onSnapshotRecords?: (records: readonly SnapshotRecord[], database: Database) => void;
  /** The replica has just been emptied; a snapshot will follow. */
  onDiscard?: (database: Database) => void;
  /** After the last page: `sluice_records` is complete; local rows that are not in it are gone at the centre. */
  onSnapshotEnd?: (database: Database) => void;
  /** Batches leave the outbox with their verdicts; others may be put there in the same transaction. */
  onSettled?: (
    settled: readonly { batch: QueuedBatch; settlement: Settlement }[],
    database: Database,
    enqueue: EnqueueTransaction['enqueue'],
  ) => void;
}

export interface FileStoreOptions extends StoreOptions, FileStoreHooks {
  /** The store's own file. */
  path?: string;
  /** Or an open database that it shares (the ERP's own); it stays open when the store closes. */
  database?: Database;
  /** Only look: takes nothing over from the process that owns the store, and cannot write. */
  readOnly?: boolean;
}

/** What `enqueueInTransaction` hands to its function. */
export interface EnqueueTransaction {
  database: Database;
  /** Puts a batch into the outbox as part of this transaction. */
  enqueue: (batch: NewBatch) => QueuedBatch;
}

export interface FileStore extends Store {
  /** Throws SluiceError `closed` before `open()`. */
  readonly database: Database;
  /** Whether the file was found to be a copy at this opening, and the incarnation renewed. */
  readonly restored: boolean;
  /** Runs fn in one BEGIN IMMEDIATE transaction, so that captured rows move to the outbox together or not at all. */
  enqueueInTransaction<T>(fn: (transaction: EnqueueTransaction) => T): T;
}

/**
 * WAL and synchronous=FULL: what was acknowledged survives SIGKILL and power loss. In a shared database the journal
 * mode is left as it is. A store opened a second time passes to the newer owner; the older one gets `store_in_use`.
 */
export function createFileStore(options: string | FileStoreOptions): FileStore {
  return new SqliteStore(typeof options === 'string' ? { path: options } : options);
}

interface Open {
  database: Database;
  tables: FileTables;
  /** Undefined for a database in memory. */
  origin: Origin | undefined;
}

class SqliteStore implements FileStore {
  readonly #options: FileStoreOptions;
  readonly #listeners = new Set<() => void>();
  #opened: Open | undefined;
  readonly #waiting: { batch: NewBatch; answer: Deferred<QueuedBatch> }[] = [];
  restored = false;

  constructor(options: FileStoreOptions) {
    if ((options.path === undefined) === (options.database === undefined))
      throw new TypeError('createFileStore needs either a path or a database');
    this.#options = options;
  }

  get database(): Database {
    return this.#use().database;
  }

  open = (): Promise<void> =>
    attempt(() => {
      if (this.#opened) return;
      const { path, readOnly = false } = this.#options;
      const database = this.#options.database ?? new DatabaseSync(path ?? '', { readOnly, timeout: 5_000 });
      try {
        if (!readOnly) prepare(database, path !== undefined);
        this.#opened = { database, tables: createFileTables(database), origin: undefined };
        if (!readOnly) this.#claim();
      } catch (error) {
        this.#opened = undefined;
        if (path !== undefined) database.close();
        throw error;
      }
    });

  close = (): Promise<void> =>
    attempt(() => {
      const opened = this.#opened;
      this.#opened = undefined;
      if (!opened || this.#options.path === undefined) return;
      // Prepared statements keep SQLite from tidying up by itself: without this the file alone would not be whole.
      if (this.#options.readOnly !== true) opened.database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      opened.database.close();
    });

  identity = (): Promise<Identity> => attempt(() => readIdentity(this.#use().tables));
  position = (): Promise<Position> => attempt(() => readPosition(this.#use().tables));
  outboxCount = (): Promise<number> => attempt(() => this.#use().tables.outboxCount());
  inboxCount = (): Promise<number> => attempt(() => this.#use().tables.inboxCount());
  renewIncarnation = (options?: { newClient?: boolean }): Promise<Identity> =>
    attempt(() => this.#write((tables) => renew(tables, options)));

  /** Batches enqueued in the same turn share one transaction, and so one wait for the disk. */
  enqueue(batch: NewBatch): Promise<QueuedBatch> {
    const answer = deferred<QueuedBatch>();
    this.#waiting.push({ batch, answer });
    if (this.#waiting.length === 1) queueMicrotask(() => this.#enqueueWaiting());
    return answer.promise;
  }

  enqueueInTransaction<T>(fn: (transaction: EnqueueTransaction) => T): T {
    let added = 0;
    const result = this.#write((tables) =>
      fn({
        database: this.database,
        enqueue: (batch) => {
          added += 1;
          return this.#add(tables, batch);
        },
      }),
    );
    if (added > 0) for (const listener of this.#listeners) listener();
    return result;
  }

  outbox = ({ after, limit }: { after: number; limit: number }): Promise<QueuedBatch[]> =>
    attempt(() => this.#use().tables.outbox(after, limit));

  settle = (settlements: readonly Settlement[]): Promise<QueuedBatch[]> =>
    attempt(() =>
      this.#write((tables) => {
        const settled: { batch: QueuedBatch; settlement: Settlement }[] = [];
        for (const settlement of settlements) {
          const batch = tables.findBatch(settlement.batchId);
          if (!batch) continue;
          tables.deleteBatch(batch.batchId);
          const entry = inboxEntryOf(batch, settlement, this.#now());
          if (entry) tables.insertInbox(entry);
          settled.push({ batch, settlement });
        }
        this.#options.onSettled?.(settled, this.database, (batch) => this.#add(tables, batch));
        return settled.map(({ batch }) => batch);
      }),
    );

  onEnqueued(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  inbox = ({ limit = DEFAULT_LIST_LIMIT }: { limit?: number } = {}): Promise<InboxEntry[]> =>
    attempt(() => this.#use().tables.inbox(limit));

  dismiss = (batchId: string): Promise<void> =>
    attempt(() => this.#write((tables) => tables.deleteInbox(batchId)));

  discardReplica = (scope: string): Promise<void> =>
    attempt(() =>
      this.#write((tables) => {
        tables.clearRecords();
        this.#options.onDiscard?.(this.database);
        writePosition(tables, { cursor: null, page: null, scope });
      }),
    );

  applyDelta = ({ from, to, changes }: DeltaWrite): Promise<Change[]> =>
    attempt(() =>
      this.#write((tables) => {
        const position = readPosition(tables);
        if (position.cursor !== from) throw cursorMismatch(position.cursor, from);
        const applied = changes.filter((change) => tables.applyChange(change));
        if (applied.length > 0) this.#options.onApply?.(applied, this.database);
        writePosition(tables, { ...position, cursor: to });
        return applied;
      }),
    );

  applySnapshot = ({ page, at, more, records }: SnapshotWrite): Promise<void> =>
    attempt(() =>
      this.#write((tables) => {
        for (const record of records) tables.putRecord(record);
        this.#options.onSnapshotRecords?.(records, this.database);
        const position = readPosition(tables);
        writePosition(tables, { ...position, cursor: more ? null : at, page: more ? page : null });
        if (!more) this.#options.onSnapshotEnd?.(this.database);
      }),
    );

  get = (collection: string, id: string): Promise<StoredRecord | undefined> =>
    attempt(() => this.#use().tables.findRecord(collection, id));

  list = (collection: string, options: ListOptions = {}): Promise<StoredRecord[]> =>
    attempt(() => this.#use().tables.list(collection, { limit: DEFAULT_LIST_LIMIT, ...options }));

  iterate(collection: string, options?: { partition?: string }): AsyncIterable<StoredRecord> {
    return iterateByPages(this, collection, options);
  }

  count = (collection: string, { partition }: { partition?: string } = {}): Promise<number> =>
    attempt(() => this.#use().tables.count(collection, partition));

  #enqueueWaiting(): void {
    const waiting = this.#waiting.splice(0);
    const settle: (() => void)[] = [];
    attempt(() =>
      this.enqueueInTransaction(({ enqueue }) => {
        for (const { batch, answer } of waiting) {
          try {
            const queued = enqueue(batch);
            settle.push(() => answer.resolve(queued));
          } catch (error) {
            // One that is refused for itself has written nothing; a fault of the store undoes them all.
            if (!(error instanceof SluiceError)) throw error;
            settle.push(() => answer.reject(error));
          }
        }
      }),
    ).then(
      () => settle.forEach((tell) => tell()),
      (error: unknown) => waiting.forEach(({ answer }) => answer.reject(toError(error))),
    );
  }

  #use(): Open {
    if (!this.#opened) throw new SluiceError('closed', 'the store is not open');
    return this.#opened;
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }

  #add(tables: FileTables, batch: NewBatch): QueuedBatch {
    const known = batch.batchId === undefined ? undefined : tables.findBatch(batch.batchId);
    if (known) return known;
    const prepared = prepareBatch(batch, this.#now());
    const max = this.#options.maxOutbox ?? DEFAULT_MAX_OUTBOX;
    const { nextSeq } = readIdentity(tables);
    // Counting is slow in a long outbox; it cannot hold more than the numbers given out since its first batch.
    const atMost = nextSeq - (tables.outbox(0, 1)[0]?.seq ?? nextSeq);
    if (atMost >= max && tables.outboxCount() >= max) throw outboxFull(max);
    const queued = { ...prepared, seq: nextSeq };
    tables.insertBatch(queued);
    tables.setMeta('nextSeq', String(nextSeq + 1));
    return queued;
  }

  /** Makes this process the owner, and renews the incarnation when the file turns out to be a copy. */
  #claim(): void {
    const opened = this.#use();
    const path = locationOf(opened.database);
    const known = readOrigin(opened.tables);
    const fresh = opened.tables.findMeta('clientId') === undefined;
    this.restored = !fresh && path !== undefined && (known === undefined || !isOriginal(path, known));
    const origin = path === undefined ? undefined : announce(path, known?.token);
    this.#write((tables) => {
      if (fresh) create(tables);
      if (this.restored) renew(tables);
      if (origin) tables.setMeta('origin', JSON.stringify(origin));
    });
    opened.origin = origin;
    if (path !== undefined && origin) confirm(path, origin);
  }

  /** One local transaction; whoever has lost the store to a newer owner writes nothing. */
  #write<T>(fn: (tables: FileTables) => T): T {
    const { database, tables, origin } = this.#use();
    database.exec('BEGIN IMMEDIATE');
    try {
      if (origin && readOrigin(tables)?.token !== origin.token)
        throw new SluiceError('store_in_use', 'another process has taken this store over');
      const result = fn(tables);
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // SQLite itself rolls back on some faults (disk full), then there is nothing left to undo.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** SQLite is synchronous: this makes its failures rejections with a code. */
function attempt<T>(fn: () => T): Promise<T> {
  return new Promise((resolve) => {
    try {
      resolve(fn());
    } catch (error) {
      if (error instanceof SluiceError || !isSqliteError(error)) throw error;
      throw new SluiceError('store_failed', `the store could not be used: ${error.message}`, {
        cause: error,
      });
    }
  });
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SQLITE_ERROR';
}

function prepare(database: Database, own: boolean): void {
  if (own) database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = FULL');
  createTables(database);
}

function locationOf(database: Database): string | undefined {
  return database.location() ?? undefined;
}
