import type { Database } from '../sdk/file-store.ts';
import { createFileStore } from '../sdk/file-store.ts';
import type { InboxEntry } from '../sdk/store.ts';
import { createAgentTables, isInstalled } from './capture.ts';
import type { AgentConfig } from './config.ts';
import { inTransaction, openErp } from './database.ts';
import { AgentError, EXIT } from './errors.ts';
import type { LocalRefusal } from './ledger.ts';
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
    inbox: { gateway: 0, local: 0 },
    version: null,
    cursor: null,
  };
  const read = await lookAt(config, async (opened) => {
    const store = createFileStore({ database: opened, readOnly: true });
    await store.open();
    const ledger = createLedger(opened);
    const { cursor } = await store.position();
    return {
      installed: true,
      captured: ledger.capturedCount(),
      queue: await store.outboxCount(),
      inbox: { gateway: await store.inboxCount(), local: ledger.refusedCount() },
      version: versionOf(cursor),
      cursor,
    };
  });
  return { ...base, ...(read ?? none) };
}

export async function readInbox(config: AgentConfig): Promise<InboxReport> {
  const read = await lookAt(config, async (opened) => {
    const store = createFileStore({ database: opened, readOnly: true });
    await store.open();
    return {
      gateway: await store.inbox({ limit: INBOX_LIMIT }),
      local: createLedger(opened).refused(INBOX_LIMIT),
    };
  });
  return read ?? { gateway: [], local: [] };
}

/** Takes an entry out of the inbox: a batchId, or the number of a local one. Throws AgentError 1 when it is not there. */
export function dismissInbox(config: AgentConfig, entry: string): void {
  const database = openErp(config.database, config);
  try {
    const changes = inTransaction(database, () => {
      const local = /^\d+$/.test(entry);
      const sql = local
        ? 'DELETE FROM sluice_agent_refused WHERE n = ?'
        : 'DELETE FROM sluice_inbox WHERE batch_id = ?';
      return database.prepare(sql).run(local ? Number(entry) : entry).changes;
    });
    if (changes === 0) throw new AgentError(EXIT.fault, `There is no entry ${entry} in the inbox.`);
  } finally {
    database.close();
  }
}

/**
 * Notes that a refused batch is to be sent again: a running agent does so at once, another one when it is started.
 * Throws AgentError 1 when the gateway has refused no such batch.
 */
export function requestRetry(config: AgentConfig, batchId: string): void {
  const database = openErp(config.database, config);
  try {
    const changes = inTransaction(database, () => {
      if (!hasStore(database)) return 0;
      createAgentTables(database);
      const insert = `INSERT INTO sluice_agent_retry (batch_id)
        SELECT batch_id FROM sluice_inbox WHERE batch_id = ? LIMIT 1 ON CONFLICT DO NOTHING`;
      const select = 'SELECT 1 FROM sluice_agent_retry WHERE batch_id = ?';
      if (database.prepare(select).get(batchId) !== undefined) return 1;
      return database.prepare(insert).run(batchId).changes;
    });
    if (changes === 0)
      throw new AgentError(EXIT.fault, `The gateway has refused no batch ${batchId}: see agent inbox.`);
  } finally {
    database.close();
  }
}

/** Undefined when nothing is installed there. */
async function lookAt<T>(
  config: AgentConfig,
  fn: (database: Database) => Promise<T>,
): Promise<T | undefined> {
  const database = openErp(config.database, { ...config, readOnly: true });
  try {
    return hasStore(database) ? await fn(database) : undefined;
  } finally {
    database.close();
  }
}

function hasStore(database: Database): boolean {
  const select = `SELECT 1 FROM sqlite_master WHERE name = 'sluice_inbox'`;
  return isInstalled(database) && database.prepare(select).get() !== undefined;
}
