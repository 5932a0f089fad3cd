import { rmSync } from 'node:fs';
import { Command } from 'commander';
import { createMachineSession } from '../sdk/machine-session.ts';
import type { TokenSource } from '../sdk/types.ts';
import { SLUICE_VERSION } from '../protocol/version.ts';
import { startAgent } from './agent.ts';
import { isInstalled, uninstall } from './capture.ts';
import { checkAgent, loadChecked } from './check.ts';
import type { AgentConfig } from './config.ts';
import { loadConfig } from './config.ts';
import { inTransaction, openErp } from './database.ts';
import type { ExitCode } from './errors.ts';
import { AgentError, EXIT } from './errors.ts';
import { createLedger } from './ledger.ts';
import { acquireLock, lockPath } from './lock.ts';
import type { TextStream } from './log.ts';
import { createLog } from './log.ts';
import { dismissInbox, readInbox, readReport, requestRetry } from './look.ts';
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
}

type Action = (deps: CommandDeps, config: AgentConfig, options: Options) => Promise<ExitCode> | ExitCode;

/** Runs one command line (without `node` and the script). Resolves with the exit code. */
export async function runCommand(deps: CommandDeps, args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const program = createProgram(deps, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(deps, error, args.includes('--json'));
  }
}

const COMMANDS: { name: string; description: string; action: Action; options?: [string, string][] }[] = [
  { name: 'run', description: 'run in the foreground until SIGTERM, SIGINT or SIGBREAK', action: run },
  { name: 'status', description: 'show connection, queue, position and inbox', action: status },
  {
    name: 'inbox',
    description: 'show what was refused',
    action: inbox,
    options: [
      ['--dismiss <entry>', 'take out a batchId, or the number of an entry refused here'],
      ['--retry <batchId>', 'send a batch that the gateway refused again, under a new batchId'],
    ],
  },
  { name: 'check', description: 'validate configuration, database, mapping and login', action: check },
  { name: 'install', description: 'install tables and triggers (run does it too)', action: installCapture },
  {
    name: 'uninstall',
    description: 'remove every table and trigger of the agent',
    action: uninstallCapture,
    options: [['--force', 'even when something has not been pushed yet']],
  },
];

function createProgram(deps: CommandDeps, exit: (code: ExitCode) => void): Command {
  const program = new Command('agent')
    .description('Syncs the SQLite database of a branch with the centre.')
    .version(SLUICE_VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void deps.stdout.write(text),
      writeErr: (text) => void deps.stderr.write(text),
    })
    .addHelpText('after', '\nExit codes: 0 ok, 1 fault, 75 temporary, 77 not allowed, 78 configuration.');
  for (const { name, description, action, options = [] } of COMMANDS) {
    const command = program
      .command(name)
      .description(description)
      .requiredOption('-c, --config <file>', 'the configuration (docs/AGENT.md)')
      .option('--json', 'JSON instead of text');
    for (const [flags, help] of options) command.option(flags, help);
    command.action(async (given: Options) => {
      const config = name === 'check' ? loadChecked(given.config) : loadConfig(given.config);
      exit(await action(deps, config, given));
    });
  }
  return program;
}

function tokensOf({ tokensFor }: CommandDeps, config: AgentConfig): TokenSource {
  const { gateway, clientId, clientSecret } = config;
  return tokensFor?.(config) ?? createMachineSession({ baseUrl: gateway, clientId, clientSecret });
}

async function run(deps: CommandDeps, config: AgentConfig, { json }: Options): Promise<ExitCode> {
  const log = createLog(deps.stdout, { json: json === true });
  const { partition, database, gateway } = config;
  const agent = startAgent({ config, tokens: tokensOf(deps, config), log });
  deps.onStop(() => void agent.close());
  log.info('started', { pid: process.pid, version: SLUICE_VERSION, partition, database, gateway });
  const code = await agent.done;
  log.info('ended', { code });
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

function installCapture({ stdout }: CommandDeps, config: AgentConfig, { json }: Options): ExitCode {
  const lock = acquireLock(config.database);
  const database = openErp(config.database, config);
  try {
    prepareDatabase({ config, log: createLog(stdout, { json: json === true }) }, database);
    return EXIT.ok;
  } finally {
    database.close();
    lock.release();
  }
}

function uninstallCapture({ stdout }: CommandDeps, config: AgentConfig, options: Options): ExitCode {
  const lock = acquireLock(config.database);
  const database = openErp(config.database, config);
  try {
    const removed = inTransaction(database, () => {
      if (!isInstalled(database)) return { triggers: 0, tables: 0 };
      if (!options.force && hasUnpushed(database))
        throw new AgentError(
          EXIT.fault,
          'Not everything has been pushed: run the agent, or use --force to drop it.',
        );
      return uninstall(database);
    });
    stdout.write(
      options.json
        ? `${JSON.stringify(removed)}\n`
        : `Removed ${removed.triggers} triggers, ${removed.tables} tables.\n`,
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

function hasUnpushed(database: ReturnType<typeof openErp>): boolean {
  const hasOutbox =
    database.prepare(`SELECT 1 FROM sqlite_master WHERE name = 'sluice_outbox'`).get() !== undefined;
  const waits = hasOutbox && database.prepare('SELECT 1 FROM sluice_outbox LIMIT 1').get() !== undefined;
  return waits || createLedger(database).hasCaptured();
}

function report({ stderr }: CommandDeps, error: unknown, json: boolean): ExitCode {
  // Commander has said it already; help and version are no faults.
  if (isCommanderError(error)) return exitCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const faults = error instanceof AgentError ? error.faults : [];
  if (json) stderr.write(`${JSON.stringify({ error: message, faults })}\n`);
  else stderr.write(`${[message, ...faults.map((fault) => `  - ${fault}`)].join('\n')}\n`);
  return error instanceof AgentError ? error.exitCode : EXIT.fault;
}

/** Without a configuration nothing can be run: that is its fault, not the command's. */
function exitCodeOf({ code, exitCode, message }: CommanderError): ExitCode {
  if (exitCode === 0) return EXIT.ok;
  const isMissing =
    code === 'commander.missingMandatoryOptionValue' || /--config.*argument missing/.test(message);
  return isMissing ? EXIT.configuration : EXIT.fault;
}

interface CommanderError {
  code: string;
  exitCode: number;
  message: string;
}

function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}
