import { hostname } from 'node:os';
import { Command, CommanderError } from 'commander';
import { SLUICE_VERSION } from '../protocol/version.ts';
import { addAdminCommands } from './commands/admin.ts';
import { addChatCommands } from './commands/chat.ts';
import { addPeopleCommands } from './commands/people.ts';
import { addRecordCommands } from './commands/records.ts';
import { addStatusCommands } from './commands/status.ts';
import { addWatchCommand } from './commands/watch.ts';
import type { Context, Host } from './context.ts';
import type { CliError } from './failure.ts';
import { EXIT, toFailure, usageError } from './failure.ts';
import { startInteractive } from './interactive/start.ts';
import { failureLines } from './render.ts';
import type { Fetch } from '../sdk/index.ts';
import { createSessionFile } from './session-file.ts';
import { createSharedSession } from './shared-session.ts';
import { cleanJson, createTheme } from './terminal-text.ts';

/** Wraps a command's function: hands it the context, built from the global options. */
export type Bind = <A extends unknown[]>(
  run: (context: Context, ...args: A) => Promise<void>,
) => (...args: A) => Promise<void>;

/** Adds commands to a parent. */
export type AddCommands = (parent: Command, bind: Bind) => void;

const FOOTER = `
Exit codes: 0 ok, 1 refused or failed, 2 usage, 69 gateway unreachable, 77 not logged in or forbidden.
Without a command, in a terminal: an interactive session.`;

/** Runs one command line (without node and script). Resolves with the exit code; writes only to the host's streams. */
export async function runProgram(host: Host, argv: readonly string[]): Promise<number> {
  const json = wantsJson(argv);
  try {
    await createProgram(host, json).parseAsync([...argv], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      if (json) report(host, fromCommander(error), json);
      return EXIT.usage;
    }
    const failure = toFailure(error);
    report(host, failure, json);
    return failure.exitCode;
  }
}

/** Known before the command line is parsed, for it may not parse. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

/** What Commander has to say, as an error of ours; a suggestion in its second line is the hint. */
function fromCommander({ code, message }: CommanderError): CliError {
  if (code === 'commander.help') return usageError(NO_COMMAND);
  const [first = '', suggestion] = message.replace(/^error: /, '').split('\n');
  return usageError(first, suggestion?.replace(/^\((.*)\)$/, '$1'));
}

const NO_COMMAND = 'Give a command. See: npm run sluice -- --help';

function createProgram(host: Host, json: boolean): Command {
  const program = new Command('sluice');
  program
    .description('The terminal client of a Sluice gateway.')
    .version(SLUICE_VERSION)
    .option('--url <url>', 'base URL of the gateway (SLUICE_URL)', host.environment.url)
    .option('--json', 'results as JSON on the standard output, one object or one line per event')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(host.output.columns ?? 100, 100) })
    .configureOutput({
      writeOut: (text) => host.output.write(text),
      // with --json it is reported as an object
      writeErr: (text) => {
        if (!json) host.errors.write(text);
      },
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showSuggestionAfterError()
    .addHelpText('after', FOOTER);
  const bind: Bind =
    (run) =>
    (...args) =>
      run(createContext(host, program.opts()), ...args);
  for (const add of [
    addPeopleCommands,
    addWatchCommand,
    addRecordCommands,
    addChatCommands,
    addStatusCommands,
    addAdminCommands,
  ])
    add(program, bind);
  addDefault(program, bind);
  return program;
}

/** Without a command: the interactive session, or the help where there is no terminal. */
function addDefault(program: Command, bind: Bind): void {
  program
    .command('interactive', { isDefault: true, hidden: true })
    .argument('[command...]')
    .action(
      bind(async (context, words: string[]) => {
        const [word] = words;
        if (word !== undefined)
          throw usageError(`There is no command ${word}. See: npm run sluice -- --help`);
        if (context.json) throw usageError(NO_COMMAND);
        if (!context.input.isTTY || !context.output.isTTY) {
          program.outputHelp({ error: true });
          throw new CommanderError(EXIT.usage, 'sluice.help', 'no command');
        }
        await startInteractive(context);
      }),
    );
}

function createContext(host: Host, options: { url: string; json?: boolean }): Context {
  const { environment, output, errors, clock } = host;
  const url = parseUrl(options.url);
  const json = options.json === true;
  const fetch = introduce(host.fetch ?? globalThis.fetch);
  const session = createSharedSession({
    baseUrl: url,
    file: createSessionFile(environment.configDir, url),
    fetch,
    now: () => clock.now(),
  });
  return {
    ...host,
    fetch,
    url,
    json,
    session,
    theme: createTheme(output.isTTY === true && !environment.noColor && !json),
    print: (line) => output.write(`${line}\n`),
    remark: (line) => {
      if (!json) errors.write(`${line}\n`);
    },
    emit: (value) => output.write(`${cleanJson(value)}\n`),
  };
}

/** Whoever looks through their sessions knows by it which terminal one is of. */
function introduce(fetch: Fetch): Fetch {
  const name = hostname().replaceAll(/[^\w.-]/g, '');
  const agent = `sluice-cli/${SLUICE_VERSION} (${process.platform}; ${name})`;
  return (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('user-agent', agent);
    return fetch(input, { ...init, headers });
  };
}

function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^(http|ws)s?:$/.test(url.protocol))
    throw usageError(`--url must be an http or https address, not ${text}`);
  if (url.username !== '' || url.password !== '') throw usageError('--url must not carry a password');
  return `${url.origin.replace(/^ws/, 'http')}${url.pathname.replace(/\/+$/, '')}`;
}

/** Errors go to the error output; with --json as one JSON object. */
function report(host: Host, failure: CliError, json: boolean): void {
  const { code, message, hint, faults, exitCode } = failure;
  if (json) {
    const errors = faults.length === 0 ? {} : { errors: faults };
    const error = { code, message, ...errors, ...(hint === undefined ? {} : { hint }), exitCode };
    host.errors.write(`${cleanJson({ error })}\n`);
    return;
  }
  const theme = createTheme(host.errors.isTTY === true && !host.environment.noColor);
  for (const line of failureLines(theme, failure)) host.errors.write(`${line}\n`);
}
