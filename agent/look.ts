import type { Database, FileStore } from '../sdk/file-store.ts';
import { createFileStore } from '../sdk/file-store.ts';
import type { InboxEntry } from '../sdk/store.ts';
import { createBackfill } from './backfill.ts';
import { createAgentTables, findSchemaFaults, isInstalled } from './capture.ts';
import type { OlderChoice } from './claim.ts';
import { chooseOlder, heldReason } from './claim.ts';
import type { AgentConfig } from './config.ts';
import { inTransaction, openErp } from './database.ts';
import { AgentError, EXIT } from './errors.ts';
import type { Ledger, LocalRefusal } from './ledger.ts';
import { findHeadless } from './headless.ts';
import { createLedger } from './ledger.ts';
import { isLocked } from './lock.ts';
import type { AgentStatus } from './status.ts';
import { findStatus, versionOf } from './status.ts';

/** Looking at an agent's database from outside, whether the agent runs or not. */

export interface AgentReport {
  running: boolean;
  installed: boolean;
  partition: string;
  database: string;
  gateway: string;
  /** What a running agent says of itself; of one that is not running, its last words. */
  agent: AgentStatus | null;
  /** Read from the database at this moment. */
  captured: number;
  queue: number;
  /** Older rows; null: all of them are queued. */
  backfill: { done: number; total: number } | null;
  /** Why older movements without a head are not sent; null: they are not held. */
  held: string | null;
  /** Movements that name a head which is not there: those from before the agent are not sent. */
  headless: number;
  inbox: { gateway: number; local: number };
  /** The tenant's version applied here, and the cursor; null: nothing yet. */
  version: number | null;
  cursor: string | null;
}

export interface InboxReport {
  /** Refused by the gateway. */
  gateway: InboxEntry[];
  /** Refused here, before anything was sent. */
  local: (LocalRefusal & { n: number; at: string })[];
}

const INBOX_LIMIT = 1_000;

export async function readReport(config: AgentConfig): Promise<AgentReport> {
  const { partition, database, gateway } = config;
  const running = isLocked(database);
  const base = { running, partition, database, gateway, agent: findStatus(database) ?? null };
  const none = {
    installed: false,
    captured: 0,
    queue: 0,
    backfill: null,
    held: null,
    headless: 0,
    inbox: { gateway: 0, local: 0 },
    version: null,
    cursor: null,
  };
  const captured = await lookAt(config, (opened) => {
    const ledger = createLedger(opened);
    const { done, total } = createBackfill(opened, config.mapping, ledger).state() ?? {};
    const backfill = done === undefined || total === undefined ? null : { done, total };
    const held = backfill ? (heldReason(ledger) ?? null) : null;
    const fits = findSchemaFaults(opened, config.mapping).length === 0;
    const found = fits ? findHeadless(opened, config.mapping) : [];
    const headless = found.reduce((sum, { rows }) => sum + rows, 0);
    return { installed: true, captured: ledger.capturedCount(), backfill, held, headless };
  });
  const synced = await lookAtStore(config, async (store, ledger) => {
    const { cursor } = await store.position();
    return {
      queue: await store.outboxCount(),
      inbox: { gateway: await store.inboxCount(), local: ledger.refusedCount() },
      version: versionOf(cursor),
      cursor,
    };
  });
  return { ...base, ...none, ...captured, ...synced };
}

export async function readInbox(config: AgentConfig): Promise<InboxReport> {
  const read = await lookAtStore(config, async (store, ledger) => ({
    gateway: await store.inbox({ limit: INBOX_LIMIT }),
    local: ledger.refused(INBOX_LIMIT),
  }));
  return read ?? { gateway: [], local: [] };
}

/** Takes an entry out of the inbox: a batchId, or the number of a local one. Throws AgentError 1 when it is not there. */
export function dismissInbox(config: AgentConfig, entry: string): void {
  const database = openErp(config.database, config);
  try {
    const isFound = inTransaction(database, () => {
      if (!hasStore(database)) return false;
      createAgentTables(database);
      return createLedger(database).dismiss(entry);
    });
    if (!isFound) throw new AgentError(EXIT.fault, `There is no entry ${entry} in the inbox.`);
  } finally {
    database.close();
  }
}

/**
 * Notes that something refused is to be sent again: a running agent does so at once, another one when it is started.
 * `all`: everything in the inbox. Throws AgentError 1 when there is nothing of that name that can be sent.
 */
export function requestRetry(config: AgentConfig, entry: string): void {
  const database = openErp(config.database, config);
  try {
    const isFound = inTransaction(database, () => {
      if (!hasStore(database)) return false;
      createAgentTables(database);
      const insert = 'INSERT INTO sluice_agent_retry (batch_id)';
      const where = entry === 'all' ? 'true' : 'entry = ?1';
      const asked = entry === 'all' ? [] : [entry];
      database
        .prepare(`${insert} SELECT entry FROM (${RETRIABLE}) WHERE ${where} ON CONFLICT DO NOTHING`)
        .run(...asked);
      const select = `SELECT 1 FROM (SELECT batch_id AS entry FROM sluice_agent_retry) WHERE ${where} LIMIT 1`;
      return database.prepare(select).get(...asked) !== undefined;
    });
    if (!isFound && entry !== 'all')
      throw new AgentError(EXIT.fault, `${notRetriable(entry)}: see agent inbox.`);
  } finally {
    database.close();
  }
}

/** What the gateway has refused, and whole acts that were refused here. */
const RETRIABLE = `SELECT batch_id AS entry FROM sluice_inbox UNION
  SELECT entry FROM sluice_agent_acts WHERE state = 'refused' AND entry IN (SELECT CAST(n AS TEXT) FROM sluice_agent_refused)`;

function notRetriable(entry: string): string {
  if (!/^\d+$/.test(entry)) return `The gateway has refused no batch ${entry}`;
  return `There is no entry ${entry} that could be sent again: only whole acts can, not changes of what the centre has`;
}

/** Notes what is to happen to older movements that are held: a running agent follows at once. */
export function decideOlder(config: AgentConfig, choice: OlderChoice): void {
  const database = openErp(config.database, config);
  try {
    inTransaction(database, () => chooseOlder(createLedger(database), choice));
  } finally {
    database.close();
  }
}

/** Undefined when nothing is installed there. */
async function lookAt<T>(
  config: AgentConfig,
  fn: (database: Database) => Promise<T> | T,
): Promise<T | undefined> {
  const database = openErp(config.database, { ...config, readOnly: true });
  try {
    return isInstalled(database) ? await fn(database) : undefined;
  } finally {
    database.close();
  }
}

/** Undefined before the first run: the store is made then. */
function lookAtStore<T>(
  config: AgentConfig,
  fn: (store: FileStore, ledger: Ledger) => Promise<T>,
): Promise<T | undefined> {
  return lookAt(config, async (database) => {
    if (!hasStore(database)) return undefined;
    const store = createFileStore({ database, readOnly: true });
    await store.open();
    return fn(store, createLedger(database));
  });
}

function hasStore(database: Database): boolean {
  const select = `SELECT 1 FROM sqlite_master WHERE name = 'sluice_inbox'`;
  return isInstalled(database) && database.prepare(select).get() !== undefined;
}
