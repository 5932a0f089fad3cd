import type { Change, Mutation, PushVerdict, RecordData, SnapshotRecord } from '../protocol/sync.ts';
import type { WireError } from '../protocol/errors.ts';

/**
 * What a sync client keeps on its own disk. One store belongs to one client at a time.
 * Every method that writes is one local transaction: after a crash all of it is there, or none.
 */

/** Who this installation is. `seq` counts per (clientId, incarnation); batchIds stay the same when they change. */
export interface Identity {
  clientId: string;
  incarnation: string;
  /** The seq the next enqueued batch gets. */
  nextSeq: number;
}

/** A batch as the caller writes it. */
export interface NewBatch {
  mutations: readonly Mutation[];
  /** All or nothing; left out: true on the gateway. */
  atomic?: boolean;
  /** batchIds: when one of them is refused, so is this batch. */
  dependsOn?: readonly string[];
  /** UUIDv7; made when left out. Enqueueing a batchId that is still in the outbox returns that batch. */
  batchId?: string;
}

/** A batch in the outbox. */
export interface QueuedBatch {
  seq: number;
  batchId: string;
  atomic?: boolean;
  dependsOn?: string[];
  mutations: Mutation[];
  /** Size of its canonical JSON in UTF-8 bytes. */
  bytes: number;
  /** ISO 8601. */
  enqueuedAt: string;
}

/** How a batch ended. `quarantined`: the gateway would not take it at all (seq_reuse, invalid_message, …). */
export type Outcome = 'applied' | 'conflict' | 'rejected' | 'quarantined';

/** A batch that was not applied as written: kept until the owner has dealt with it. */
export interface InboxEntry {
  batch: QueuedBatch;
  outcome: Exclude<Outcome, 'applied'>;
  /** The gateway's verdict (conflict, rejected). */
  verdict?: PushVerdict;
  /** The gateway's refusal (quarantined). */
  error?: WireError;
  /** ISO 8601. */
  at: string;
}

/** Takes one batch out of the outbox, and puts it into the inbox unless it was applied. */
export interface Settlement {
  batchId: string;
  outcome: Outcome;
  verdict?: PushVerdict;
  error?: WireError;
}

/** Where the replica stands. */
export interface Position {
  /** The cursor of the last delta stored; null: nothing yet, or a snapshot is under way. */
  cursor: string | null;
  /** The token of the last snapshot page stored while a snapshot is under way. */
  page: string | null;
  /** Canonical subscription the replica was filled for; null: nothing yet. */
  scope: string | null;
}

/** One record of the replica. */
export interface StoredRecord {
  collection: string;
  id: string;
  partition: string;
  data: RecordData;
  recordVersion: number;
}

export interface ListOptions {
  partition?: string;
  /** Records at most; left out: 100. */
  limit?: number;
  /** The last id of the page before; ids are in code-unit order. */
  after?: string;
}

export interface DeltaWrite {
  /** Must equal the stored cursor, or nothing is written (`cursor_mismatch`). */
  from: string;
  to: string;
  changes: readonly Change[];
}

export interface SnapshotWrite {
  page: string;
  at: string;
  more: boolean;
  records: readonly SnapshotRecord[];
}

/** The replica: the records this client may see, as of the cursor. */
export interface Replica {
  get(collection: string, id: string): Promise<StoredRecord | undefined>;
  list(collection: string, options?: ListOptions): Promise<StoredRecord[]>;
  /** Every record of a collection, page by page, without loading all of them. */
  iterate(collection: string, options?: { partition?: string }): AsyncIterable<StoredRecord>;
  count(collection: string, options?: { partition?: string }): Promise<number>;
}

export interface Store extends Replica {
  /** Opens or creates it; safe to call again. Rejects with `store_in_use` when another owner has it. */
  open(): Promise<void>;
  close(): Promise<void>;

  identity(): Promise<Identity>;
  /**
   * New incarnation (and with `newClient` a new clientId: the old one belongs to another principal); the outbox is
   * numbered again from 1 in its old order, with the same batchIds.
   */
  renewIncarnation(options?: { newClient?: boolean }): Promise<Identity>;

  /** Durable when it resolves. Throws SluiceError `outbox_full`, `payload_too_large`, `invalid_batch`, `store_failed`. */
  enqueue(batch: NewBatch): Promise<QueuedBatch>;
  /** Waiting batches in seq order, from the first one above `after`. */
  outbox(options: { after: number; limit: number }): Promise<QueuedBatch[]>;
  outboxCount(): Promise<number>;
  /** batchIds that are not in the outbox are passed over. Returns what was taken out, in the order given. */
  settle(settlements: readonly Settlement[]): Promise<QueuedBatch[]>;
  /** Told after batches were committed to the outbox, whoever enqueued them. */
  onEnqueued(listener: () => void): () => void;

  /** Refused batches, oldest first. */
  inbox(options?: { limit?: number }): Promise<InboxEntry[]>;
  inboxCount(): Promise<number>;
  /** The owner has dealt with it. */
  dismiss(batchId: string): Promise<void>;

  position(): Promise<Position>;
  /** Empties the replica and forgets cursor and page; never touches the outbox or the inbox. */
  discardReplica(scope: string): Promise<void>;
  /** Stores changes and cursor together; returns the changes that took effect (older recordVersions are passed over). */
  applyDelta(delta: DeltaWrite): Promise<Change[]>;
  /** Stores a page with its resume position; the last page sets the cursor to `at`. */
  applySnapshot(page: SnapshotWrite): Promise<void>;
}

export interface StoreOptions {
  /** Batches the outbox may hold; over it `enqueue` throws `outbox_full`. Left out: 100,000. */
  maxOutbox?: number;
  /** Left out: the system's. */
  now?: () => Date;
}
