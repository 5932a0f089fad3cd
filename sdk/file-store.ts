import type { DatabaseSync } from '@photostructure/sqlite';
import type { Change, SnapshotRecord } from '../protocol/sync.ts';
import type { NewBatch, QueuedBatch, Store, StoreOptions } from './store.ts';

/** The durable store of Node clients, on SQLite; its tables are prefixed `sluice_`. Not for browsers. */

/**
 * Run inside the store's own transaction, synchronously: what they write is committed together with the cursor, and
 * when one throws, nothing of the frame is stored and the client drops the connection and tries again.
 * They must not begin or end a transaction.
 */
export interface FileStoreHooks {
  /** Changes that take effect, in order, before the cursor is saved. */
  onApply?: (changes: readonly Change[], database: DatabaseSync) => void;
  onSnapshotRecords?: (records: readonly SnapshotRecord[], database: DatabaseSync) => void;
  /** The replica has just been emptied; a snapshot will follow. */
  onDiscard?: (database: DatabaseSync) => void;
  /** After the last page: `sluice_records` is complete; local rows that are not in it are gone at the centre. */
  onSnapshotEnd?: (database: DatabaseSync) => void;
}

export interface FileStoreOptions extends StoreOptions, FileStoreHooks {
  /** The store's own file. */
  path?: string;
  /** Or an open database that it shares (the ERP's own); it stays open when the store closes. */
  database?: DatabaseSync;
}

/** What `enqueueInTransaction` hands to its function. */
export interface EnqueueTransaction {
  database: DatabaseSync;
  /** Puts a batch into the outbox as part of this transaction. */
  enqueue(batch: NewBatch): QueuedBatch;
}

export interface FileStore extends Store {
  readonly database: DatabaseSync;
  /** Runs fn in one BEGIN IMMEDIATE transaction, so that captured rows move to the outbox together or not at all. */
  enqueueInTransaction<T>(fn: (transaction: EnqueueTransaction) => T): T;
}

export declare function createFileStore(options: string | FileStoreOptions): FileStore;
