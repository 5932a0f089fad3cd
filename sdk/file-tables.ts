import { DatabaseSync } from '@photostructure/sqlite';
import type { Change, SnapshotRecord } from '../protocol/sync.ts';
import { effectOf } from './replica.ts';
import type { InboxEntry, ListOptions, QueuedBatch, StoredRecord } from './store.ts';

/** The tables of the file store and every statement on them. Transactions are the caller's business. */

export type Database = InstanceType<typeof DatabaseSync>;
type Statement = ReturnType<Database['prepare']>;

const TABLES = `
CREATE TABLE IF NOT EXISTS sluice_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_outbox (
  seq INTEGER PRIMARY KEY, batch_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sluice_inbox (
  n INTEGER PRIMARY KEY AUTOINCREMENT, batch_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS sluice_inbox_batch ON sluice_inbox (batch_id);
CREATE TABLE IF NOT EXISTS sluice_records (
  collection TEXT NOT NULL, id TEXT NOT NULL, partition TEXT NOT NULL, data TEXT NOT NULL,
  record_version INTEGER NOT NULL, PRIMARY KEY (collection, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sluice_records_partition ON sluice_records (collection, partition, id);`;

export interface FileTables {
  findMeta(key: string): string | undefined;
  setMeta(key: string, value: string | null): void;
  insertBatch(batch: QueuedBatch): void;
  findBatch(batchId: string): QueuedBatch | undefined;
  outbox(after: number, limit: number): QueuedBatch[];
  outboxCount(): number;
  deleteBatch(batchId: string): void;
  /** Numbers the outbox 1, 2, 3… in its old order; returns how many there are. */
  renumber(): number;
  insertInbox(entry: InboxEntry): void;
  inbox(limit: number): InboxEntry[];
  inboxCount(): number;
  deleteInbox(batchId: string): void;
  /** Whether it took effect. */
  applyChange(change: Change): boolean;
  putRecord(record: SnapshotRecord): void;
  clearRecords(): void;
  findRecord(collection: string, id: string): StoredRecord | undefined;
  list(collection: string, options: Required<Pick<ListOptions, 'limit'>> & ListOptions): StoredRecord[];
  count(collection: string, partition: string | undefined): number;
}

export function createTables(database: Database): void {
  database.exec(TABLES);
}

/** Prepares the statements as they are first used. */
export function createFileTables(database: Database): FileTables {
  const statements = new Map<string, Statement>();
  const sql = (text: string): Statement => {
    let statement = statements.get(text);
    if (!statement) statements.set(text, (statement = database.prepare(text)));
    return statement;
  };
  return { ...metaTable(sql), ...outboxTable(sql), ...inboxTable(sql), ...recordsTable(sql) };
}

type Sql = (text: string) => Statement;

function metaTable(sql: Sql): Pick<FileTables, 'findMeta' | 'setMeta'> {
  return {
    findMeta(key) {
      const row = sql('SELECT value FROM sluice_meta WHERE key = ?').get(key) as
        { value: string } | undefined;
      return row?.value;
    },
    setMeta(key, value) {
      if (value === null) sql('DELETE FROM sluice_meta WHERE key = ?').run(key);
      else
        sql(
          'INSERT INTO sluice_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        ).run(key, value);
    },
  };
}

interface OutboxRow {
  seq: number;
  body: string;
}

function outboxTable(
  sql: Sql,
): Pick<FileTables, 'insertBatch' | 'findBatch' | 'outbox' | 'outboxCount' | 'deleteBatch' | 'renumber'> {
  return {
    insertBatch(batch) {
      const insert = 'INSERT INTO sluice_outbox (seq, batch_id, body) VALUES (?, ?, ?)';
      sql(insert).run(batch.seq, batch.batchId, JSON.stringify(batch));
    },
    findBatch(batchId) {
      const row = sql('SELECT seq, body FROM sluice_outbox WHERE batch_id = ?').get(batchId) as
        OutboxRow | undefined;
      return row && toBatch(row);
    },
    outbox(after, limit) {
      const select = 'SELECT seq, body FROM sluice_outbox WHERE seq > ? ORDER BY seq LIMIT ?';
      return (sql(select).all(after, limit) as OutboxRow[]).map(toBatch);
    },
    outboxCount: () => countOf(sql('SELECT count(*) AS n FROM sluice_outbox').get()),
    deleteBatch(batchId) {
      sql('DELETE FROM sluice_outbox WHERE batch_id = ?').run(batchId);
    },
    renumber() {
      // Two passes over negative numbers: SQLite checks the key row by row, and old and new numbers overlap.
      sql('UPDATE sluice_outbox SET seq = -seq').run();
      const rows = sql('SELECT seq FROM sluice_outbox ORDER BY seq DESC').all() as { seq: number }[];
      for (const [index, row] of rows.entries())
        sql('UPDATE sluice_outbox SET seq = ? WHERE seq = ?').run(index + 1, row.seq);
      return rows.length;
    },
  };
}

function inboxTable(sql: Sql): Pick<FileTables, 'insertInbox' | 'inbox' | 'inboxCount' | 'deleteInbox'> {
  return {
    insertInbox(entry) {
      const insert = 'INSERT INTO sluice_inbox (batch_id, body) VALUES (?, ?)';
      sql(insert).run(entry.batch.batchId, JSON.stringify(entry));
    },
    inbox(limit) {
      const rows = sql('SELECT body FROM sluice_inbox ORDER BY n LIMIT ?').all(limit) as { body: string }[];
      return rows.map((row) => JSON.parse(row.body) as InboxEntry);
    },
    inboxCount: () => countOf(sql('SELECT count(*) AS n FROM sluice_inbox').get()),
    deleteInbox(batchId) {
      sql('DELETE FROM sluice_inbox WHERE batch_id = ?').run(batchId);
    },
  };
}

interface RecordRow {
  collection: string;
  id: string;
  partition: string;
  data: string;
  record_version: number;
}

const PUT = `INSERT INTO sluice_records (collection, id, partition, data, record_version) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (collection, id) DO UPDATE SET
    partition = excluded.partition, data = excluded.data, record_version = excluded.record_version`;

function recordsTable(
  sql: Sql,
): Pick<FileTables, 'applyChange' | 'putRecord' | 'clearRecords' | 'findRecord' | 'list' | 'count'> {
  const put = (record: Omit<SnapshotRecord, 'data'> & { data?: unknown }): void => {
    const { collection, id, partition, data = {}, recordVersion } = record;
    sql(PUT).run(collection, id, partition, JSON.stringify(data), recordVersion);
  };
  return {
    applyChange(change) {
      const select = 'SELECT record_version FROM sluice_records WHERE collection = ? AND id = ?';
      const stored = sql(select).get(change.collection, change.id) as { record_version: number } | undefined;
      const effect = effectOf(change, stored?.record_version);
      if (effect === 'put') put(change);
      else if (effect === 'remove')
        sql('DELETE FROM sluice_records WHERE collection = ? AND id = ?').run(change.collection, change.id);
      return effect !== undefined;
    },
    putRecord: put,
    clearRecords() {
      sql('DELETE FROM sluice_records').run();
    },
    findRecord(collection, id) {
      const select = 'SELECT * FROM sluice_records WHERE collection = ? AND id = ?';
      const row = sql(select).get(collection, id) as RecordRow | undefined;
      return row && toRecord(row);
    },
    list(collection, { partition, limit, after = '' }) {
      const rows =
        partition === undefined
          ? sql('SELECT * FROM sluice_records WHERE collection = ? AND id > ? ORDER BY id LIMIT ?').all(
              collection,
              after,
              limit,
            )
          : sql(
              'SELECT * FROM sluice_records WHERE collection = ? AND partition = ? AND id > ? ORDER BY id LIMIT ?',
            ).all(collection, partition, after, limit);
      return (rows as RecordRow[]).map(toRecord);
    },
    count(collection, partition) {
      return partition === undefined
        ? countOf(sql('SELECT count(*) AS n FROM sluice_records WHERE collection = ?').get(collection))
        : countOf(
            sql('SELECT count(*) AS n FROM sluice_records WHERE collection = ? AND partition = ?').get(
              collection,
              partition,
            ),
          );
    },
  };
}

function toBatch(row: OutboxRow): QueuedBatch {
  return { ...(JSON.parse(row.body) as QueuedBatch), seq: row.seq };
}

function toRecord(row: RecordRow): StoredRecord {
  const { collection, id, partition, data, record_version: recordVersion } = row;
  return { collection, id, partition, data: JSON.parse(data) as StoredRecord['data'], recordVersion };
}

function countOf(row: unknown): number {
  return (row as { n: number }).n;
}
