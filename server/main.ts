import { createApp } from './app.ts';
import type { App } from './app.ts';
import { ConfigError, parseConfig, readEnvironment, withoutEffect } from './config.ts';
import type { Config } from './config.ts';
import { EmbeddedPostgresError } from './embedded/errors.ts';
import { createLogger } from './log.ts';
import { explainStart } from './start-faults.ts';

/** The process: environment → config → app, signals, and the only exits (78: configuration, 1: could not start). */

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const environment = readEnvironment();
  const config = parseConfig(environment);
  // a person at a terminal wants to see the mail with the code, not every request; LOG_LEVEL says otherwise
  const isQuiet = !environment['LOG_LEVEL'] && process.stderr.isTTY;
  const log = createLogger(isQuiet ? 'warn' : config.LOG_LEVEL);
  const running: { app?: App } = {};
  let stopping = false;
  const stop = (signal: string): void => {
    // a second signal does not wait
    if (stopping) process.exit(130);
    stopping = true;
    say(`${signal}: closing …`);
    Promise.resolve(running.app?.close()).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  for (const name of withoutEffect(environment)) say(`  note: ${name} has no effect in this version`);
  const progress = (message: string): void => say(`  ${message}`);
  try {
    running.app = await createApp({ config, log, progress, console: process.stdout });
  } catch (error) {
    throw error instanceof EmbeddedPostgresError ? error : explainStart(error, config);
  }
  say(await welcome(running.app, config));
}

async function welcome(app: App, config: Config): Promise<string> {
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
    `  npm run sluice -- admin clients create --name "Branch 12" --partition branch-12${url}${keyFile}`,
    '',
    'Stop it with Ctrl-C.',
  ].join('\n');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError ? 78 : 1);
});
