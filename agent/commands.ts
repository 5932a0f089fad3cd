import { rmSync } from 'node:fs';
import { Command } from 'commander';
import { createMachineSession } from '../sdk/machine-session.ts';
import type { Database } from '../sdk/file-store.ts';
import type { TokenSource } from '../sdk/types.ts';
import { SLUICE_VERSION } from '../protocol/version.ts';
import { startAgent } from './agent.ts';
import { createBackfill } from './backfill.ts';
import { isInstalled, uninstall } from './capture.ts';
import { checkAgent, loadChecked } from './check.ts';
import type { AgentConfig } from './config.ts';
import { loadConfig } from './config.ts';
import { inTransaction, openErp } from './database.ts';
import type { ExitCode } from './errors.ts';
import { AgentError, EXIT, EXIT_NAMES, REFUSED_HINT, sqliteFaultOf } from './errors.ts';
import { createLedger } from './ledger.ts';
import { acquireLock, isLocked, lockPath } from './lock.ts';
import type { TextStream } from './log.ts';
import { createLog } from './log.ts';
import { decideOlder, dismissInbox, readInbox, readReport, requestRetry } from './look.ts';
import { printCheck, printInbox, printReport } from './print.ts';
import { prepareDatabase } from './session.ts';
import { removeStatus } from './status.ts';

export interface CommandDeps {
  stdout: TextStream;
  stderr: TextStream;
  /** Calls back when the system asks the process to end. */
  onStop(stop: () => void): void;
  /** Replaced by tests; left out: OAuth client credentials. */
  tokensFor?: (config: AgentConfig) => TokenSource;
}

interface Options {
  config: string;
  json?: true;
  force?: true;
  dismiss?: string;
  retry?: string;
  adopt?: true;
  resend?: true;
}

type Action = (deps: CommandDeps, config: AgentConfig, options: Options) => Promise<ExitCode> | ExitCode;

/** Runs one command line (without `node` and the script). Resolves with the exit code. */
export async function runCommand(deps: CommandDeps, args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const json = args.includes('--json');
  // With --json an error is one object, which report() writes.
  const stderr = json ? { write: () => undefined } : deps.stderr;
  const program = createProgram({ ...deps, stderr }, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(deps, error, json);
  }
}

interface CommandSpec {
  name: string;
  description: string;
  action: Action;
  options?: [string, string][];
  footer?: string;
}

/** What ADR 12 cannot tell apart, a person has to know before choosing. */
const RESEND_WARNING = `
--adopt and --resend answer one question, once, where another installation came first: does the centre have the movements
without a head (opening stock, deliveries) that were there before? --resend is for a first run that was cut short: what that
run sent is known and not counted again. But movements that were captured while an agent was installed would count twice.
In doubt --adopt, the usual answer (docs/AGENT.md, "Reinstalled, or an old copy").`;

const COMMANDS: CommandSpec[] = [
  { name: 'run', description: 'run in the foreground until SIGTERM, SIGINT or SIGBREAK', action: run },
  { name: 'status', description: 'show connection, queue, position and inbox', action: status },
  {
    name: 'inbox',
    description: 'show what was refused',
    action: inbox,
    options: [
      ['--dismiss <entry>', 'take out a batchId, or the number of an entry refused here'],
      ['--retry <entry>', 'send a refused batch or sale again, as it is now: its batchId or number, or all'],
    ],
  },
  { name: 'check', description: 'validate configuration, database, mapping and login', action: check },
  {
    name: 'install',
    description: 'install tables and triggers (run does it too)',
    action: installCapture,
    options: [
      ['--adopt', 'of older movements without a head: the centre has them, send none (the usual answer)'],
      [
        '--resend',
        'of older movements without a head: send those that it did not get before; may count some twice, see below',
      ],
    ],
    footer: RESEND_WARNING,
  },
  {
    name: 'uninstall',
    description: 'remove every table and trigger of the agent',
    action: uninstallCapture,
    options: [['--force', 'even when something has not been pushed yet']],
  },
];

const FOOTER = `
Each command takes --config FILE, --json and --help. First: agent check --config agent.json (docs/AGENT.md).
Exit codes: 0 ok, 1 fault, 2 usage, 75 temporary, 77 not allowed, 78 configuration.`;

function createProgram(deps: CommandDeps, exit: (code: ExitCode) => void): Command {
  const program = new Command('agent')
    .description('Syncs the SQLite database of a branch with the centre.')
    .version(SLUICE_VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void deps.stdout.write(text),
      writeErr: (text) => void deps.stderr.write(text),
    })
    .addHelpText('after', FOOTER);
  for (const { name, description, action, options = [], footer } of COMMANDS) {
    const command = program
      .command(name)
      .description(description)
      .requiredOption('-c, --config <file>', 'the configuration (docs/AGENT.md)')
      .option('--json', 'JSON instead of text');
    for (const [flags, help] of options) command.option(flags, help);
    if (footer !== undefined) command.addHelpText('after', footer);
    command.action(async (given: Options) => {
      const config = name === 'check' ? await loadChecked(given.config) : loadConfig(given.config);
      exit(await action(deps, config, given));
    });
  }
  return program;
}

function tokensOf({ tokensFor }: CommandDeps, config: AgentConfig): TokenSource {
  const { gateway: baseUrl, clientId, credential } = config;
  return tokensFor?.(config) ?? createMachineSession({ baseUrl, clientId, ...credential });
}

async function run(deps: CommandDeps, config: AgentConfig, { json }: Options): Promise<ExitCode> {
  const log = createLog(deps.stdout, { json: json === true });
  const { partition, database, gateway } = config;
  const agent = startAgent({ config, tokens: tokensOf(deps, config), log });
  deps.onStop(() => void agent.close());
  log.info('started', { pid: process.pid, version: SLUICE_VERSION, partition, database, gateway });
  const code = await agent.done;
  log.info('ended', { code, ...(code === EXIT.notAllowed ? { meaning: REFUSED_HINT } : {}) });
  return code;
}

async function status({ stdout }: CommandDeps, config: AgentConfig, { json }: Options): Promise<ExitCode> {
  const found = await readReport(config);
  stdout.write(json ? `${JSON.stringify(found)}\n` : printReport(found));
  return EXIT.ok;
}

async function inbox({ stdout }: CommandDeps, config: AgentConfig, options: Options): Promise<ExitCode> {
  if (options.dismiss !== undefined) dismissInbox(config, options.dismiss);
  if (options.retry !== undefined) requestRetry(config, options.retry);
  const found = await readInbox(config);
  stdout.write(options.json ? `${JSON.stringify(found)}\n` : printInbox(found));
  return EXIT.ok;
}

async function check(deps: CommandDeps, config: AgentConfig, { json }: Options): Promise<ExitCode> {
  const found = await checkAgent(config, tokensOf(deps, config));
  deps.stdout.write(json ? `${JSON.stringify(found)}\n` : printCheck(found));
  return found.exitCode;
}

function installCapture(
  { stdout }: CommandDeps,
  config: AgentConfig,
  { json, adopt, resend }: Options,
): ExitCode {
  if (adopt && resend) throw new AgentError(EXIT.usage, 'Give either --adopt or --resend.');
  const choice = adopt ? 'adopt' : resend ? 'resend' : undefined;
  // The one thing that must be possible while the agent runs: it waits for that word.
  const isRunning = choice !== undefined && isLocked(config.database);
  if (!isRunning) {
    const lock = acquireLock(config.database);
    const database = openErp(config.database, config);
    try {
      prepareDatabase({ config, log: createLog(stdout, { json: json === true }) }, database);
    } finally {
      database.close();
      lock.release();
    }
  }
  if (choice !== undefined) decideOlder(config, choice);
  return EXIT.ok;
}

function uninstallCapture({ stdout }: CommandDeps, config: AgentConfig, options: Options): ExitCode {
  const lock = acquireLock(config.database);
  const database = openErp(config.database, config);
  try {
    const removed = inTransaction(database, () => {
      if (!isInstalled(database)) return { triggers: 0, tables: 0 };
      if (!options.force) requirePushed(database, config);
      return uninstall(database);
    });
    stdout.write(
      options.json
        ? `${JSON.stringify(removed)}\n`
        : `Removed ${removed.triggers} triggers, ${removed.tables} tables.\n${LATER}`,
    );
  } finally {
    database.close();
    lock.release();
  }
  removeStatus(config.database);
  for (const path of [`${config.database}.incarnation`, lockPath(config.database)])
    rmSync(path, { force: true });
  return EXIT.ok;
}

const LATER = `The centre keeps what it has. Should the agent be installed here again, acts that the centre has are known by their record id;
movements without a head (opening stock) are held until you say --adopt or --resend (docs/AGENT.md, "Reinstalled, or an old copy").
What is sold or changed until then is not captured.
`;

/** Throws AgentError 1 when something has not been pushed, or was refused and nobody has dealt with it. */
function requirePushed(database: Database, { mapping }: AgentConfig): void {
  const hasOutbox =
    database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'sluice_outbox'`).get() !== undefined;
  const queue = hasOutbox ? countOf(database, 'sluice_outbox') : 0;
  const ledger = createLedger(database);
  const captured = ledger.capturedCount();
  const older = createBackfill(database, mapping, ledger).state();
  const rows = older ? older.total - older.done : 0;
  if (captured + queue + rows > 0)
    throw new AgentError(
      EXIT.fault,
      `Not everything has been pushed (${captured} rows captured, ${queue} batches queued, ${rows} older rows): run the agent, or use --force to drop it.`,
    );
  const inbox = hasOutbox ? countOf(database, 'sluice_inbox') : 0;
  const local = ledger.refusedCount();
  if (inbox + local === 0) return;
  throw new AgentError(
    EXIT.fault,
    `The inbox holds what the centre does not have (${inbox} refused by the gateway, ${local} refused here): see agent inbox, send it with --retry or take it out with --dismiss; or use --force to drop it.`,
  );
}

function countOf(database: Database, table: 'sluice_outbox' | 'sluice_inbox'): number {
  return (database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
}

function report({ stderr }: CommandDeps, error: unknown, json: boolean): ExitCode {
  const { exitCode, message, faults } = failureOf(error);
  const body = { code: EXIT_NAMES[exitCode], message, ...(faults.length > 0 ? { faults } : {}), exitCode };
  if (exitCode === EXIT.ok) return exitCode;
  if (json) stderr.write(`${JSON.stringify({ error: body })}\n`);
  // Commander has said it already.
  else if (!isCommanderError(error))
    stderr.write(`${[message, ...faults.map((fault) => `  - ${fault}`)].join('\n')}\n`);
  return exitCode;
}

function failureOf(error: unknown): { exitCode: ExitCode; message: string; faults: readonly string[] } {
  const text = error instanceof Error ? error.message : String(error);
  if (!isCommanderError(error)) {
    if (error instanceof AgentError) return { exitCode: error.exitCode, message: text, faults: error.faults };
    const exitCode = sqliteFaultOf(error) === 'busy' ? EXIT.temporary : EXIT.fault;
    return { exitCode, message: text, faults: [] };
  }
  const message = error.code === 'commander.help' ? 'No command is given: see agent --help.' : text;
  return { exitCode: exitCodeOf(error), message: message.replace(/^error: /, ''), faults: [] };
}

/** Help and version are no faults. Without a configuration nothing can be run: that is its fault, not the command's. */
function exitCodeOf({ code, exitCode, message }: CommanderError): ExitCode {
  if (exitCode === 0) return EXIT.ok;
  const isMissing =
    code === 'commander.missingMandatoryOptionValue' || /--config.*argument missing/.test(message);
  return isMissing ? EXIT.configuration : EXIT.usage;
}

interface CommanderError {
  code: string;
  exitCode: number;
  message: string;
}

function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}
