import type { Database } from '../sdk/file-store.ts';
import { createLedger } from './ledger.ts';
import { literalsOf, quoteName, quoteText } from './literal.ts';
import type { Mapping, SourceTable } from './mapping.ts';
import { sourcesOf } from './mapping.ts';
import { findRenamedActs } from './names.ts';

/**
 * The agent's own tables and the triggers that fill them (docs/adr/0008). The ERP's tables keep their schema. A trigger
 * runs inside the ERP's transaction, whichever program writes: what is sold is captured, or neither is there.
 */

/** The guard is set only inside a transaction that applies what came down, so that nobody else ever sees it set. */
const TABLES = `
CREATE TABLE IF NOT EXISTS sluice_agent_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_guard (applying INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sluice_agent_layouts (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, columns TEXT NOT NULL, UNIQUE (source, columns));
CREATE TABLE IF NOT EXISTS sluice_agent_capture (
  n INTEGER PRIMARY KEY, token BLOB NOT NULL, layout INTEGER NOT NULL, op TEXT NOT NULL, old TEXT, new TEXT);
CREATE TABLE IF NOT EXISTS sluice_agent_known (
  collection TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (collection, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_seen (
  act TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (act, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_pending (
  batch_id TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, version INTEGER,
  PRIMARY KEY (collection, id, batch_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sluice_agent_pending_batch ON sluice_agent_pending (batch_id);
CREATE TABLE IF NOT EXISTS sluice_agent_deferred (
  collection TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (collection, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_again (
  batch_id TEXT PRIMARY KEY, first_id TEXT NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_recreated (
  collection TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (collection, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_acts (
  act TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, entry TEXT NOT NULL, older INTEGER NOT NULL,
  PRIMARY KEY (act, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sluice_agent_acts_entry ON sluice_agent_acts (entry);
CREATE TABLE IF NOT EXISTS sluice_agent_unsettled (
  collection TEXT NOT NULL, id TEXT NOT NULL, batch_id TEXT NOT NULL,
  PRIMARY KEY (collection, id, batch_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sluice_agent_unsettled_batch ON sluice_agent_unsettled (batch_id);
CREATE TABLE IF NOT EXISTS sluice_agent_retry (batch_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sluice_agent_refused (
  n INTEGER PRIMARY KEY, at TEXT NOT NULL, act TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL,
  rows INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS sluice_agent_refused_key ON sluice_agent_refused (key);
INSERT INTO sluice_agent_guard (applying) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM sluice_agent_guard);`;

export interface Installation {
  /** Nothing of the agent was there. */
  fresh: boolean;
  /** Triggers that had to be made or made anew. */
  triggers: number;
}

/** Makes tables and triggers, or repairs them. Run inside a transaction. */
export function install(database: Database, mapping: Mapping): Installation {
  const fresh = !isInstalled(database);
  createAgentTables(database);
  createReplicaTables(database, mapping);
  const wanted = wantedTriggers(database, mapping);
  const present = presentTriggers(database);
  for (const name of present.keys()) if (!wanted.has(name)) database.exec(`DROP TRIGGER ${quoteName(name)}`);
  let triggers = 0;
  for (const [name, sql] of wanted) {
    if (present.get(name) === sql) continue;
    database.exec(`DROP TRIGGER IF EXISTS ${quoteName(name)}`);
    database.exec(sql);
    triggers += 1;
  }
  return { fresh, triggers };
}

/** Those that an earlier version of the agent did not have, too. */
export function createAgentTables(database: Database): void {
  database.exec(TABLES);
}

export function isInstalled(database: Database): boolean {
  const select = `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sluice_agent_capture'`;
  return database.prepare(select).get() !== undefined;
}

/** Removes every table and trigger of the agent and of its store. Run inside a transaction. */
export function uninstall(database: Database): { triggers: number; tables: number } {
  const triggers = [...presentTriggers(database).keys()];
  for (const name of triggers) database.exec(`DROP TRIGGER ${quoteName(name)}`);
  const select = `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'sluice\\_%' ESCAPE '\\'`;
  const tables = database.prepare(select).all() as { name: string }[];
  for (const { name } of tables) database.exec(`DROP TABLE ${quoteName(name)}`);
  return { triggers: triggers.length, tables: tables.length };
}

/** What of the mapping the database does not have, or knows by another name. */
export function findSchemaFaults(database: Database, mapping: Mapping): string[] {
  const faults: string[] = [];
  const need = (table: string, columns: readonly string[]): void => {
    const have = columnsOf(database, table);
    if (have.length === 0) faults.push(`the database has no table ${table}`);
    else
      for (const name of columns)
        if (!have.includes(name)) faults.push(`the table ${table} has no column ${name}`);
  };
  for (const { table, columns } of sourcesOf(mapping)) need(table, columns);
  for (const one of mapping.down) if (!one.replica) need(one.table, Object.keys(one.columns));
  for (const { create } of mapping.acts.flatMap((act) => act.movements)) {
    if (!create.lookup) continue;
    const { table, on, fields } = create.lookup;
    need(table, [...Object.keys(on), ...Object.values(fields).map((spec) => spec.column)]);
  }
  if (isInstalled(database)) faults.push(...findRenamedActs(createLedger(database), mapping));
  return [...new Set(faults)];
}

export function replicaTable(name: string): string {
  return `sluice_${name}`;
}

function createReplicaTables(database: Database, mapping: Mapping): void {
  for (const { replica, table, columns } of mapping.down) {
    if (!replica) continue;
    const name = quoteName(replicaTable(table));
    const own = Object.keys(columns).map((column) => `, ${quoteName(column)}`);
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${name} (record_id TEXT PRIMARY KEY${own.join('')}) WITHOUT ROWID`,
    );
    const have = columnsOf(database, replicaTable(table));
    for (const column of Object.keys(columns))
      if (!have.includes(column)) database.exec(`ALTER TABLE ${name} ADD COLUMN ${quoteName(column)}`);
  }
}

function wantedTriggers(database: Database, mapping: Mapping): Map<string, string> {
  const triggers = new Map<string, string>();
  for (const source of sourcesOf(mapping)) {
    const layout = requireLayout(database, source);
    for (const op of ['I', 'U', 'D'] as const) {
      const name = `sluice_agent_${source.table}_${op.toLowerCase()}`;
      triggers.set(name, triggerSql({ name, source, layout, op }));
    }
  }
  return triggers;
}

interface TriggerSpec {
  name: string;
  source: SourceTable;
  layout: number;
  op: 'I' | 'U' | 'D';
}

function triggerSql({ name, source, layout, op }: TriggerSpec): string {
  const { table, columns } = source;
  const list = columns.map(quoteName);
  const event = { I: 'INSERT', U: `UPDATE OF ${list.join(', ')}`, D: 'DELETE' }[op];
  const changed = list.map((column) => `OLD.${column} IS NOT NEW.${column}`).join(' OR ');
  const before = op === 'I' ? 'NULL' : literalsOf('OLD', columns);
  const after = op === 'D' ? 'NULL' : literalsOf('NEW', columns);
  return `CREATE TRIGGER ${quoteName(name)} AFTER ${event} ON ${quoteName(table)}
WHEN (SELECT applying FROM sluice_agent_guard) IS NOT 1${op === 'U' ? ` AND (${changed})` : ''}
BEGIN
  INSERT INTO sluice_agent_capture (token, layout, op, old, new)
  VALUES (randomblob(16), ${layout}, ${quoteText(op)}, ${before}, ${after});
END`;
}

/** A layout is the list of columns a row was captured with: it outlives a change of the mapping. */
function requireLayout(database: Database, { table, columns }: SourceTable): number {
  const names = JSON.stringify(columns);
  database
    .prepare('INSERT INTO sluice_agent_layouts (source, columns) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(table, names);
  const select = 'SELECT id FROM sluice_agent_layouts WHERE source = ? AND columns = ?';
  return (database.prepare(select).get(table, names) as { id: number }).id;
}

function presentTriggers(database: Database): Map<string, string> {
  const select = `SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'sluice\\_agent\\_%' ESCAPE '\\'`;
  const rows = database.prepare(select).all() as { name: string; sql: string }[];
  return new Map(rows.map(({ name, sql }) => [name, sql]));
}

function columnsOf(database: Database, table: string): string[] {
  const rows = database.prepare('SELECT name FROM pragma_table_info(?)').all(table) as { name: string }[];
  return rows.map(({ name }) => name);
}
