import { addressAdvice } from './address-advice.ts';
import { readArguments } from './arguments.ts';
import { createApp } from './app.ts';
import type { App } from './app.ts';
import { ConfigError, parseConfig, readEnvironment, withoutEffect } from './config.ts';
import type { Config } from './config.ts';
import { EmbeddedPostgresError } from './embedded/errors.ts';
import { requireFreePort } from './free-port.ts';
import { createLogger } from './log.ts';
import { explainStart } from './start-faults.ts';

/** The process: environment → config → app, signals, and the only exits (docs/OPERATIONS.md has the codes). */

/** The command line is wrong. */
const USAGE = 2;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const environment = readEnvironment();
  const config = parseConfig(environment);
  // a person at a terminal wants to see the mail with the code, not every request; LOG_LEVEL says otherwise
  const isQuiet = !environment['LOG_LEVEL'] && process.stderr.isTTY;
  const log = createLogger(isQuiet ? 'warn' : config.LOG_LEVEL);
  for (const name of withoutEffect(environment, config))
    say(`  note: ${name} has no effect beside the other settings`);
  const progress = (message: string): void => say(`  ${message}`);
  await requireFreePort(config.ROLE === 'auth' ? config.AUTH_PORT : config.PORT, config.HOST).catch(
    (error: unknown) => {
      throw explainStart(error, config);
    },
  );
  const stopping = new AbortController();
  const { signal } = stopping;
  const starting = createApp({ config, log, progress, console: process.stdout, signal });
  const stop = (name: string): void => {
    // a second signal does not wait
    if (signal.aborted) process.exit(130);
    say(`${name}: closing …`);
    stopping.abort();
    close(starting, signal).then(
      () => {
        say('Stopped.');
        process.exit(0);
      },
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop(name));
  try {
    const app = await starting;
    const text = await welcome(app, config);
    if (signal.aborted) return;
    say(text);
    const advice = addressAdvice(config, app.url);
    if (advice !== undefined) say(`\n  note: ${advice}`);
  } catch (error) {
    // the process ends when all has been stopped
    if (signal.aborted) return;
    throw error instanceof EmbeddedPostgresError ? error : explainStart(error, config);
  }
}

/** Also what has started only in part: `createApp` then stops it itself, and throws the reason. */
async function close(starting: Promise<App>, signal: AbortSignal): Promise<void> {
  const app = await starting.catch((error: unknown) => {
    if (error !== signal.reason) throw error;
  });
  await app?.close();
}

async function welcome(app: App, config: Config): Promise<string> {
  if (config.ROLE !== 'all') return welcomeOne(app, config);
  const isUsual = app.url === 'http://127.0.0.1:8300';
  const url = isUsual ? '' : ` --url ${app.url}`;
  const [owner] = await app.db.sql(`SELECT 1 FROM users WHERE tenant_id = 1 AND role = 'owner' LIMIT 1`);
  const key = app.adminKeyFile ?? 'the INTERNAL_API_KEY of the environment';
  const keyFile = app.adminKeyFile === undefined || isUsual ? '' : ` --admin-key-file ${app.adminKeyFile}`;
  return [
    '',
    `Sluice is listening on ${app.url}`,
    '',
    `  data        ${config.DATABASE_URL === undefined ? `${config.DATA_DIR} (embedded PostgreSQL)` : 'in the PostgreSQL that DATABASE_URL names'}`,
    `  admin key   ${key}`,
    '',
    'Try next:',
    `  open ${app.url} in a browser and ${owner ? 'log in' : 'sign up: the first account becomes the owner'}`,
    '  npm run demo                  real invoices, three branches, reconciled to the penny',
    '  npm run sluice -- --help      the terminal client',
    `  npm run sluice -- admin clients create --name "Branch 12" --partition branch-12 --partition '*:read'${url}${keyFile}`,
    '',
    'Stop it with Ctrl-C.',
  ].join('\n');
}

/** Of two services beside each other. */
function welcomeOne(app: App, config: Config): string {
  const { issuer } = app.identity.core;
  const what =
    config.ROLE === 'auth'
      ? 'the authentication service: people, devices, clients, keys and their tokens'
      : `the foundation service: sync and chat, for who comes with a token of ${issuer()}`;
  const { JWT_SECRET, JWT_SECRET_PREVIOUS, JWT_AUDIENCE } = config;
  const change = JWT_SECRET_PREVIOUS === undefined ? '' : ', those of JWT_SECRET_PREVIOUS taken too';
  const how = JWT_SECRET === undefined ? 'keys (ES256)' : `JWT_SECRET (HS256) for ${JWT_AUDIENCE}${change}`;
  const admin = config.ROLE === 'auth' && app.adminKeyFile ? [`  admin key   ${app.adminKeyFile}`] : [];
  return [
    '',
    `Sluice is listening on ${app.url}`,
    '',
    `  as          ${what}`,
    `  tokens      signed with ${how}`,
    ...admin,
    '',
    'Stop it with Ctrl-C.',
  ].join('\n');
}

/** Undefined: nothing was given, so it is to be started. */
function answerArguments(given: readonly string[]): number | undefined {
  const answer = readArguments(given);
  if (answer === undefined) return undefined;
  if ('help' in answer) say(answer.help);
  else process.stderr.write(`${answer.refused}\n`);
  return 'help' in answer ? 0 : USAGE;
}

const answered = answerArguments(process.argv.slice(2));
if (answered !== undefined) process.exit(answered);
main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError ? 78 : 1);
});
