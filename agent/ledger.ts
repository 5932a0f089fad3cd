import type { RecordData } from '../protocol/sync.ts';
import type { Database } from '../sdk/file-store.ts';
import type { Row } from './literal.ts';
import { literalsOf, parseRow, quoteName } from './literal.ts';
import type { Unsettled } from './unsettled.ts';
import { unsettledPart } from './unsettled.ts';

/** The agent's tables and every statement on them. Transactions are the caller's business. */

export interface CapturedRow {
  n: number;
  /** Random, given by the trigger: names the change in every copy of this database. Hex. */
  token: string;
  table: string;
  op: 'I' | 'U' | 'D';
  old: Row | undefined;
  new: Row | undefined;
}

/** Something that cannot be sent as it is: kept for people to see. */
export interface LocalRefusal {
  act: string;
  key: string;
  reason: string;
  rows: number;
  detail: string;
}

/** An act that the centre has not accepted (yet): on its way, or refused there or here. */
export interface OpenAct {
  act: string;
  key: string;
  state: 'queued' | 'refused';
  /** Its batchId; refused here: the number of the entry in the inbox. */
  entry: string;
  /** From before the agent: it may have been sent by an installation before this one. */
  older: boolean;
}

export interface Ledger extends Unsettled {
  findMeta(key: string): string | undefined;
  setMeta(key: string, value: string): void;
  hasCaptured(): boolean;
  capturedCount(): number;
  captured(limit: number): CapturedRow[];
  capturedOf(tables: readonly string[]): CapturedRow[];
  removeCaptured(rows: readonly number[]): void;
  /** Removes the rows of every other table; returns how many there were of each. */
  removeOthers(tables: readonly string[]): { table: string; rows: number }[];
  isKnown(collection: string, id: string): boolean;
  remember(collection: string, id: string): void;
  forget(collection: string, id: string): void;
  /** After a snapshot of these collections: what is neither there nor on its way is not known any more. */
  forgetMissing(collections: readonly string[]): void;
  isSeen(act: string, key: string): boolean;
  see(act: string, key: string): void;
  unsee(act: string, key: string): void;
  /** Own changes under way: until the record has come down with that change in it, what comes down is older. */
  isPending(collection: string, id: string): boolean;
  addPending(batchId: string, collection: string, id: string): void;
  settlePending(batchId: string, collection: string, id: string, version: number | undefined): void;
  clearPending(collection: string, id: string, version: number): void;
  /** A record whose latest state could not be applied yet. */
  defer(collection: string, id: string): void;
  undefer(collection: string, id: string): void;
  /** Those that nothing of our own holds up any more. */
  deferred(): { collection: string; id: string }[];
  findOpenAct(act: string, key: string): OpenAct | undefined;
  findOpenActOf(entry: string): OpenAct | undefined;
  putOpenAct(open: OpenAct): void;
  closeAct(act: string, key: string): void;
  /** Returns the number of the entry. */
  refuse(refusal: LocalRefusal, at: string): number;
  /** Takes an entry out of the inbox: a batchId, or the number of one refused here. */
  dismiss(entry: string): boolean;
  refusedCount(): number;
  refused(limit: number): (LocalRefusal & { n: number; at: string })[];
  /** The record as it last came down. */
  findData(collection: string, id: string): RecordData | undefined;
  lookup(table: string, on: Row, columns: readonly string[]): Row | undefined;
}

type Statement = ReturnType<Database['prepare']>;
export type Sql = (text: string) => Statement;

/** Prepares the statements as they are first used. */
export function createLedger(database: Database): Ledger {
  const statements = new Map<string, Statement>();
  const sql: Sql = (text) => {
    let statement = statements.get(text);
    if (!statement) statements.set(text, (statement = database.prepare(text)));
    return statement;
  };
  return {
    ...metaPart(sql),
    ...capturePart(sql),
    ...knownPart(sql),
    ...pendingPart(sql),
    ...deferredPart(sql),
    ...actPart(sql),
    ...refusedPart(sql),
    ...unsettledPart(sql),
  };
}

function metaPart(sql: Sql): Pick<Ledger, 'findMeta' | 'setMeta' | 'lookup'> {
  return {
    findMeta(key) {
      const row = sql('SELECT value FROM sluice_agent_meta WHERE key = ?').get(key) as
        { value: string } | undefined;
      return row?.value;
    },
    setMeta(key, value) {
      sql(
        'INSERT INTO sluice_agent_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      ).run(key, value);
    },
    lookup(table, on, columns) {
      const where = Object.keys(on).map((name) => `${quoteName(name)} IS ?`);
      // As literals: the driver gives no integer beyond 2^53.
      const select = `SELECT ${literalsOf('NEW', columns)} AS row FROM ${quoteName(table)} AS NEW WHERE ${where.join(' AND ')}`;
      const found = sql(select).get(...Object.values(on)) as { row: string } | undefined;
      return found && parseRow(columns, found.row);
    },
  };
}

interface CaptureRow {
  n: number;
  token: string;
  source: string;
  columns: string;
  op: CapturedRow['op'];
  old: string | null;
  new: string | null;
}

const SELECT_CAPTURED = `SELECT c.n, hex(c.token) AS token, l.source, l.columns, c.op, c.old, c.new
  FROM sluice_agent_capture c JOIN sluice_agent_layouts l ON l.id = c.layout`;

function capturePart(
  sql: Sql,
): Pick<
  Ledger,
  'hasCaptured' | 'capturedCount' | 'captured' | 'capturedOf' | 'removeCaptured' | 'removeOthers'
> {
  return {
    hasCaptured: () => sql('SELECT 1 FROM sluice_agent_capture LIMIT 1').get() !== undefined,
    capturedCount: () => countOf(sql('SELECT count(*) AS n FROM sluice_agent_capture').get()),
    captured: (limit) => toCapturedRows(sql(`${SELECT_CAPTURED} ORDER BY c.n LIMIT ?`).all(limit)),
    capturedOf(tables) {
      const where = `WHERE l.source IN (${tables.map(() => '?').join(', ')})`;
      return toCapturedRows(sql(`${SELECT_CAPTURED} ${where} ORDER BY c.n`).all(...tables));
    },
    removeCaptured(rows) {
      const remove = sql('DELETE FROM sluice_agent_capture WHERE n = ?');
      for (const n of rows) remove.run(n);
    },
    removeOthers(tables) {
      const others = `SELECT id FROM sluice_agent_layouts WHERE source NOT IN (${tables.map(() => '?').join(', ')})`;
      const select = `SELECT l.source AS "table", count(*) AS rows FROM sluice_agent_capture c
        JOIN sluice_agent_layouts l ON l.id = c.layout WHERE c.layout IN (${others}) GROUP BY l.source`;
      const found = sql(select).all(...tables) as { table: string; rows: number }[];
      if (found.length > 0)
        sql(`DELETE FROM sluice_agent_capture WHERE layout IN (${others})`).run(...tables);
      return found;
    },
  };
}

function toCapturedRows(rows: unknown[]): CapturedRow[] {
  const layouts = new Map<string, string[]>();
  return (rows as CaptureRow[]).map((row) => toCaptured(row, layouts));
}

function toCaptured(row: CaptureRow, layouts: Map<string, string[]>): CapturedRow {
  const columns = layouts.get(row.columns) ?? (JSON.parse(row.columns) as string[]);
  layouts.set(row.columns, columns);
  const { n, token, op, source: table } = row;
  const read = (text: string | null): Row | undefined =>
    text === null ? undefined : parseRow(columns, text);
  return { n, token, op, table, old: read(row.old), new: read(row.new) };
}

function knownPart(
  sql: Sql,
): Pick<
  Ledger,
  'isKnown' | 'findData' | 'remember' | 'forget' | 'forgetMissing' | 'isSeen' | 'see' | 'unsee'
> {
  return {
    isKnown(collection, id) {
      const select = `SELECT 1 FROM sluice_agent_known WHERE collection = ?1 AND id = ?2
        UNION ALL SELECT 1 FROM sluice_records WHERE collection = ?1 AND id = ?2 LIMIT 1`;
      return sql(select).get(collection, id) !== undefined;
    },
    findData(collection, id) {
      const select = 'SELECT data FROM sluice_records WHERE collection = ? AND id = ?';
      const row = sql(select).get(collection, id) as { data: string } | undefined;
      return row && (JSON.parse(row.data) as RecordData);
    },
    remember(collection, id) {
      sql('INSERT INTO sluice_agent_known (collection, id) VALUES (?, ?) ON CONFLICT DO NOTHING').run(
        collection,
        id,
      );
    },
    forget(collection, id) {
      sql('DELETE FROM sluice_agent_known WHERE collection = ? AND id = ?').run(collection, id);
    },
    forgetMissing(collections) {
      const marks = collections.map(() => '?').join(', ');
      sql(`DELETE FROM sluice_agent_known WHERE collection IN (${marks}) AND (collection, id) NOT IN (
        SELECT collection, id FROM sluice_records
        UNION ALL SELECT collection, id FROM sluice_agent_pending
        UNION ALL SELECT m.value ->> 'collection', m.value ->> 'id'
          FROM sluice_outbox o, json_each(o.body, '$.mutations') m WHERE m.value ->> 'op' = 'put')`).run(
        ...collections,
      );
    },
    isSeen: (act, key) =>
      sql('SELECT 1 FROM sluice_agent_seen WHERE act = ? AND key = ?').get(act, key) !== undefined,
    unsee(act, key) {
      sql('DELETE FROM sluice_agent_seen WHERE act = ? AND key = ?').run(act, key);
    },
    see(act, key) {
      sql('INSERT INTO sluice_agent_seen (act, key) VALUES (?, ?) ON CONFLICT DO NOTHING').run(act, key);
    },
  };
}

function pendingPart(sql: Sql): Pick<Ledger, 'isPending' | 'addPending' | 'settlePending' | 'clearPending'> {
  return {
    isPending(collection, id) {
      const select = 'SELECT 1 FROM sluice_agent_pending WHERE collection = ? AND id = ? LIMIT 1';
      return sql(select).get(collection, id) !== undefined;
    },
    addPending(batchId, collection, id) {
      sql(
        'INSERT INTO sluice_agent_pending (batch_id, collection, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
      ).run(batchId, collection, id);
    },
    settlePending(batchId, collection, id, version) {
      const which = 'WHERE batch_id = ? AND collection = ? AND id = ?';
      if (version === undefined)
        sql(`DELETE FROM sluice_agent_pending ${which}`).run(batchId, collection, id);
      else sql(`UPDATE sluice_agent_pending SET version = ? ${which}`).run(version, batchId, collection, id);
    },
    clearPending(collection, id, version) {
      sql('DELETE FROM sluice_agent_pending WHERE collection = ? AND id = ? AND version <= ?').run(
        collection,
        id,
        version,
      );
    },
  };
}

function deferredPart(sql: Sql): Pick<Ledger, 'defer' | 'undefer' | 'deferred'> {
  return {
    defer(collection, id) {
      const insert =
        'INSERT INTO sluice_agent_deferred (collection, id) VALUES (?, ?) ON CONFLICT DO NOTHING';
      sql(insert).run(collection, id);
    },
    undefer(collection, id) {
      sql('DELETE FROM sluice_agent_deferred WHERE collection = ? AND id = ?').run(collection, id);
    },
    deferred: () =>
      sql(
        `SELECT collection, id FROM sluice_agent_deferred d WHERE NOT EXISTS
         (SELECT 1 FROM sluice_agent_pending p WHERE p.collection = d.collection AND p.id = d.id)`,
      ).all() as { collection: string; id: string }[],
  };
}

function actPart(sql: Sql): Pick<Ledger, 'findOpenAct' | 'findOpenActOf' | 'putOpenAct' | 'closeAct'> {
  const toOpenAct = (row: unknown): OpenAct | undefined => {
    const found = row as (Omit<OpenAct, 'older'> & { older: number }) | undefined;
    return found && { ...found, older: found.older === 1 };
  };
  return {
    findOpenAct: (act, key) =>
      toOpenAct(sql('SELECT * FROM sluice_agent_acts WHERE act = ? AND key = ?').get(act, key)),
    findOpenActOf: (entry) => toOpenAct(sql('SELECT * FROM sluice_agent_acts WHERE entry = ?').get(entry)),
    putOpenAct({ act, key, state, entry, older }) {
      sql(
        'INSERT OR REPLACE INTO sluice_agent_acts (act, key, state, entry, older) VALUES (?, ?, ?, ?, ?)',
      ).run(act, key, state, entry, Number(older));
    },
    closeAct(act, key) {
      sql('DELETE FROM sluice_agent_acts WHERE act = ? AND key = ?').run(act, key);
    },
  };
}

function refusedPart(sql: Sql): Pick<Ledger, 'refuse' | 'dismiss' | 'refusedCount' | 'refused'> {
  return {
    refuse({ act, key, reason, rows, detail }, at) {
      const { n } = sql(
        'INSERT INTO sluice_agent_refused (at, act, key, reason, rows, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING n',
      ).get(at, act, key, reason, rows, detail) as { n: number };
      return n;
    },
    dismiss(entry) {
      const local = /^\d+$/.test(entry);
      const which = local
        ? 'DELETE FROM sluice_agent_refused WHERE n = ?'
        : 'DELETE FROM sluice_inbox WHERE batch_id = ?';
      // A number may be given out again.
      if (local) sql(`UPDATE sluice_agent_acts SET entry = '' WHERE entry = ?`).run(entry);
      else sql('DELETE FROM sluice_agent_unsettled WHERE batch_id = ?').run(entry);
      return sql(which).run(local ? Number(entry) : entry).changes > 0;
    },
    refusedCount: () => countOf(sql('SELECT count(*) AS n FROM sluice_agent_refused').get()),
    refused: (limit) =>
      sql('SELECT * FROM sluice_agent_refused ORDER BY n LIMIT ?').all(limit) as (LocalRefusal & {
        n: number;
        at: string;
      })[],
  };
}

function countOf(row: unknown): number {
  return (row as { n: number }).n;
}
