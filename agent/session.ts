import { randomUUID } from 'node:crypto';
import { PROTOCOL_VERSION, SLUICE_VERSION } from '../protocol/version.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Database, FileStore } from '../sdk/file-store.ts';
import { createFileStore } from '../sdk/file-store.ts';
import { createSyncClient } from '../sdk/sync-client.ts';
import type { EngineOptions, SyncClient, TokenSource } from '../sdk/types.ts';
import type { Backfill } from './backfill.ts';
import { createBackfill } from './backfill.ts';
import { findSchemaFaults, install } from './capture.ts';
import { claimOf } from './claim.ts';
import type { AgentConfig } from './config.ts';
import { fileIdentity, inTransaction, openErp } from './database.ts';
import type { DownTargets } from './down.ts';
import { createDownTargets } from './down.ts';
import type { Drain } from './drain.ts';
import type { ExitCode } from './errors.ts';
import { AgentError, EXIT } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { findHeadless } from './headless.ts';
import { createLedger } from './ledger.ts';
import { hasNames, noteNames } from './names.ts';
import type { Resender } from './resend.ts';
import { createResender } from './resend.ts';
import type { Log } from './log.ts';
import type { Mapping } from './mapping.ts';
import { sourcesOf } from './mapping.ts';

/** Everything that hangs on one opened ERP file: made anew when the file is replaced. */
export interface Session {
  database: Database;
  ledger: Ledger;
  backfill: Backfill;
  resender: Resender;
  store: FileStore;
  client: SyncClient;
  drain: Drain;
  /** Device and inode of the file as it was opened. */
  file: string | undefined;
  close(): Promise<void>;
}

export interface SessionDeps {
  config: AgentConfig;
  tokens: TokenSource;
  log: Log;
  engine?: EngineOptions;
  guard?: boolean;
  now?: () => Date;
  /** Told what could not be done and is tried again later. */
  onFault?: (event: string, error: unknown) => void;
}

/** Opens the database, installs or repairs the capture, opens the store. Does not connect yet. */
export async function openSession(deps: SessionDeps): Promise<Session> {
  const { config } = deps;
  const database = openErp(config.database, config);
  try {
    const now = deps.now ?? ((): Date => new Date());
    prepareDatabase(deps, database);
    const ledger = createLedger(database);
    const backfill = createBackfill(database, config.mapping, ledger);
    const { mapping, partition } = config;
    const resender = createResender({ database, ledger, mapping, partition, onFault: deps.onFault });
    const given = { database, ledger, resender, mapping, partition, now, ...guardOf(deps) };
    const targets = createDownTargets(given);
    const store = await openStore(deps, database, targets);
    const client = createClient(deps, store);
    return {
      database,
      ledger,
      backfill,
      resender,
      store,
      client,
      drain: { ledger, store, mapping, partition, backfill, targets, resender, now },
      file: fileIdentity(config.database),
      async close() {
        await client.close();
        database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Capture tables, triggers and the start of the backfill, in one transaction. */
export function prepareDatabase(
  { config, log }: Pick<SessionDeps, 'config' | 'log'>,
  database: Database,
): void {
  const { mapping, partition } = config;
  requireFit(config, database);
  inTransaction(database, () => {
    const { fresh, triggers } = install(database, mapping);
    const ledger = createLedger(database);
    const foreign = findForeignBranch(ledger, config);
    if (foreign !== undefined) throw new AgentError(EXIT.configuration, foreign);
    if (fresh) {
      ledger.setMeta('partition', partition);
      ledger.setMeta('installId', randomUUID());
    }
    if (!hasNames(ledger)) noteNames(ledger, mapping);
    refuseUnmapped({ ledger, log }, mapping);
    // It may be allowed by now.
    if (claimOf(ledger) === 'refused') ledger.setMeta('claim', 'due');
    // Triggers that were missing have missed something: everything not seen yet is queued.
    if (triggers > 0 && config.backfill) createBackfill(database, mapping, ledger).restart();
    if (fresh && config.backfill)
      for (const fault of findHeadless(database, mapping)) log.warn('movements_without_head', { ...fault });
    if (fresh) log.info('installed', { triggers, backfill: config.backfill });
    else if (triggers > 0) log.warn('triggers_repaired', { triggers, backfill: config.backfill });
  });
}

/** Captured by an earlier mapping: nobody can say what they are any more, so they are told. */
function refuseUnmapped({ ledger, log }: { ledger: Ledger; log: Log }, mapping: Mapping): void {
  const at = new Date().toISOString();
  for (const { table, rows } of ledger.removeOthers(sourcesOf(mapping).map((source) => source.table))) {
    const detail = `changes of the table ${table} were captured and not sent yet, and the mapping does not name it any more: compare what the centre has with the books`;
    ledger.refuse({ act: table, key: table, reason: 'not_mapped', rows, detail }, at);
    log.warn('refused_here', { refused: rows, see: 'agent inbox' });
  }
}

/** Throws AgentError, by itself 78, when the mapping does not fit the database. */
export function requireFit(
  { mapping, database: path }: Pick<AgentConfig, 'mapping' | 'database'>,
  database: Database,
  exitCode: ExitCode = EXIT.configuration,
): void {
  const faults = findSchemaFaults(database, mapping);
  if (faults.length > 0)
    throw new AgentError(exitCode, `The mapping does not fit the database ${path}.`, faults);
}

/** What is to be said when the database was installed for another branch. */
export function findForeignBranch(
  ledger: Pick<Ledger, 'findMeta'>,
  { database, partition }: Pick<AgentConfig, 'database' | 'partition'>,
): string | undefined {
  const branch = ledger.findMeta('partition');
  if (branch === undefined || branch === partition) return undefined;
  return `The database ${database} belongs to the branch ${branch}, the configuration says ${partition}.`;
}

function guardOf({ guard }: SessionDeps): { guard?: boolean } {
  return guard === undefined ? {} : { guard };
}

async function openStore(
  { log, now }: SessionDeps,
  database: Database,
  targets: DownTargets,
): Promise<FileStore> {
  const store = createFileStore({ database, ...targets.hooks, ...(now ? { now } : {}) });
  await store.open();
  if (store.restored)
    log.warn('restored_copy', { meaning: 'the database is a copy: a new incarnation was taken' });
  return store;
}

/** A client that is let in again is not to wait for what was advised before, with nobody at the branch. */
const LONGEST_WAIT_MS = 60_000;

function createClient({ config, tokens, engine }: SessionDeps, store: FileStore): SyncClient {
  const capMs = config.reconnectCapMs;
  const collections = [...new Set(config.mapping.down.map((one) => one.collection))];
  return createSyncClient({
    ...engine,
    backoff: { capMs, longestMs: Math.max(LONGEST_WAIT_MS, capMs), ...engine?.backoff },
    url: config.gateway,
    tokens,
    store,
    subscribe: collections.map((collection) => ({ collection })),
    app: { name: `sluice-agent/${PROTOCOL_VERSION}`, version: SLUICE_VERSION },
    batchMutations: LIMITS.batchMutationsMax,
  });
}
