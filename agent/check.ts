import { ApiError } from '../sdk/errors.ts';
import type { Database } from '../sdk/file-store.ts';
import type { TokenSource } from '../sdk/types.ts';
import { createBackfill } from './backfill.ts';
import { findSchemaFaults, isInstalled } from './capture.ts';
import { heldReason } from './claim.ts';
import type { AgentConfig } from './config.ts';
import { inspectConfig, invalidConfig } from './config.ts';
import { openErp } from './database.ts';
import type { ExitCode } from './errors.ts';
import { AgentError, EXIT, REFUSED_HINT, sqliteFaultOf } from './errors.ts';
import { findHeadless } from './headless.ts';
import { explainKeyRefusal } from './key-refusal.ts';
import { createLedger } from './ledger.ts';
import type { Mapping } from './mapping.ts';
import { headlessText } from './print.ts';
import { explainUnreachable, findUnreachable } from './reach.ts';
import { findRightsFaults } from './rights.ts';
import { findRowFaults } from './sample.ts';
import { findForeignBranch } from './session.ts';

/** `agent check`: everything that can be found out before the agent is run. */

export interface CheckResult {
  name: 'configuration' | 'database' | 'mapping' | 'rows' | 'gateway';
  ok: boolean;
  details: string[];
}

const BUSY_MS = 2_500;

export interface CheckReport {
  exitCode: ExitCode;
  results: CheckResult[];
}

/**
 * The configuration. Throws AgentError 78 with every fault at once: those of the file, and what is to be seen of the
 * database, the mapping and the gateway in spite of them.
 */
export async function loadChecked(path: string): Promise<AgentConfig> {
  const { faults, config, gateway, database, mapping } = inspectConfig(path);
  if (config) return config;
  if (database !== undefined) faults.push(...databaseFaults(database, mapping));
  const unreachable = gateway === undefined ? undefined : await findUnreachable(gateway);
  if (unreachable !== undefined) faults.push(`gateway: ${gateway} is not reached: ${unreachable}`);
  throw invalidConfig(path, faults);
}

function databaseFaults(path: string, mapping: Mapping | undefined): string[] {
  try {
    const database = openErp(path, { busyTimeoutMs: BUSY_MS, readOnly: true });
    try {
      return mapping ? findSchemaFaults(database, mapping).map((fault) => `mapping: ${fault}`) : [];
    } finally {
      database.close();
    }
  } catch (error) {
    return [`database: ${error instanceof Error ? error.message : String(error)}`];
  }
}

export async function checkAgent(config: AgentConfig, tokens: TokenSource): Promise<CheckReport> {
  const database = checkDatabase(config);
  const gateway = await checkGateway(config, tokens);
  const results: CheckResult[] = [
    { name: 'configuration', ok: true, details: [config.path] },
    ...database.results,
    gateway.result,
  ];
  return { exitCode: database.exitCode === EXIT.ok ? gateway.exitCode : database.exitCode, results };
}

function checkDatabase(config: AgentConfig): { exitCode: ExitCode; results: CheckResult[] } {
  try {
    const database = openErp(config.database, { ...config, readOnly: true });
    try {
      const mapped = checkMapping(database, config);
      const rows = mapped.ok ? [checkRows(database, config)] : [];
      const results = [checkState(database, config), mapped, ...rows];
      return { exitCode: results.every(({ ok }) => ok) ? EXIT.ok : EXIT.configuration, results };
    } finally {
      database.close();
    }
  } catch (error) {
    const exitCode = exitCodeOf(error);
    const message = error instanceof Error ? error.message : String(error);
    return { exitCode, results: [{ name: 'database', ok: false, details: [config.database, message] }] };
  }
}

function checkState(database: Database, config: AgentConfig): CheckResult {
  const { journal_mode: mode } = database.prepare('PRAGMA journal_mode').get() as { journal_mode: string };
  const installed = isInstalled(database);
  const details = [config.database, installed ? 'capture installed' : 'capture not installed yet'];
  const ledger = createLedger(database);
  const foreign = installed ? findForeignBranch(ledger, config) : undefined;
  if (foreign !== undefined) details.push(foreign);
  const older = installed ? createBackfill(database, config.mapping, ledger).state() : undefined;
  const held = older && heldReason(ledger);
  if (held !== undefined) details.push(held);
  // Still correct, but a reader and a writer then wait for each other.
  if (mode !== 'wal')
    details.push(
      `journal_mode is ${mode}: wal lets the ERP and the agent work side by side; change it once with ${WAL}, while the ERP is closed`,
    );
  return { name: 'database', ok: foreign === undefined, details };
}

function checkMapping(database: Database, { mapping }: AgentConfig): CheckResult {
  const faults = findSchemaFaults(database, mapping);
  if (faults.length > 0) return { name: 'mapping', ok: false, details: faults };
  const details = findHeadless(database, mapping).map(
    ({ table, rows, head }) => `${table}: ${headlessText(rows)} (${head})`,
  );
  return { name: 'mapping', ok: true, details };
}

const WAL = 'PRAGMA journal_mode = WAL (it stays; for example: sqlite3 FILE "PRAGMA journal_mode = WAL")';

const TRANSLATE =
  'translate them in the mapping with "values" or "as" (docs/AGENT.md, "Words and dates of your own"), or correct them in the ERP';

function checkRows(database: Database, { mapping, partition }: AgentConfig): CheckResult {
  const faults = findRowFaults(database, mapping, partition);
  return {
    name: 'rows',
    ok: faults.length === 0,
    details: faults.length === 0 ? [] : [...faults, TRANSLATE],
  };
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof AgentError) return error.exitCode;
  return sqliteFaultOf(error) === 'busy' ? EXIT.temporary : EXIT.configuration;
}

async function checkGateway(
  config: AgentConfig,
  tokens: TokenSource,
): Promise<{ exitCode: ExitCode; result: CheckResult }> {
  try {
    await tokens.getAccessToken({ forceRefresh: true });
    const { faults, warnings } = await findRightsFaults(config, tokens);
    const ok = faults.length === 0;
    return {
      exitCode: ok ? EXIT.ok : EXIT.notAllowed,
      result: { name: 'gateway', ok, details: [config.gateway, 'logged in', ...faults, ...warnings] },
    };
  } catch (error) {
    const isPassing =
      error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
    const message = explainUnreachable(error) ?? (error instanceof Error ? error.message : String(error));
    const exitCode = isPassing ? EXIT.temporary : EXIT.notAllowed;
    const isProof = error instanceof ApiError && error.code === 'invalid_client';
    const reasons = isProof ? await explainKeyRefusal(config) : [];
    const details = [config.gateway, message, ...(isPassing ? [] : [REFUSED_HINT, ...reasons])];
    return { exitCode, result: { name: 'gateway', ok: false, details } };
  }
}
