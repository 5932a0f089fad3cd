import { createApp } from './app.ts';
import type { App } from './app.ts';
import { ConfigError, parseConfig, readEnvironment } from './config.ts';
import { EmbeddedPostgresError } from './embedded/errors.ts';
import { createLogger } from './log.ts';

/** The process: environment → config → app, signals, and the only exits (78: configuration, 1: could not start). */

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const config = parseConfig(readEnvironment());
  const log = createLogger(config.LOG_LEVEL);
  const running: { app?: App } = {};
  let stopping = false;
  const stop = (signal: string): void => {
    // a second signal does not wait
    if (stopping) process.exit(130);
    stopping = true;
    say(`${signal}: closing …`);
    void Promise.resolve(running.app?.close()).finally(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
  running.app = await createApp({
    config,
    log,
    progress: (message) => say(`  ${message}`),
    console: process.stdout,
  });
  say(welcome(running.app, config.DATABASE_URL === undefined ? config.DATA_DIR : undefined));
}

function welcome(app: App, dataDir: string | undefined): string {
  const key = app.adminKeyFile ?? 'the INTERNAL_API_KEY of the environment';
  return [
    '',
    `Sluice is listening on ${app.url}`,
    '',
    `  data        ${dataDir === undefined ? 'in the PostgreSQL that DATABASE_URL names' : `${dataDir} (embedded PostgreSQL)`}`,
    `  admin key   ${key}`,
    '',
    'Try next:',
    `  open ${app.url} in a browser and sign up: the first account becomes the owner`,
    '  npm run demo                  real invoices, three branches, reconciled to the penny',
    '  npm run sluice -- --help      the terminal client',
    '  npm run sluice -- admin clients create --name "Branch 12" --partition branch-12',
    '',
    'Stop it with Ctrl-C.',
  ].join('\n');
}

function explain(error: unknown): { message: string; code: number } {
  if (error instanceof ConfigError) return { message: error.message, code: 78 };
  if (error instanceof EmbeddedPostgresError) return { message: error.message, code: 1 };
  const { code, port, address } = error as { code?: string; port?: number; address?: string };
  if (code === 'EADDRINUSE') {
    const where = `${address ?? ''}:${port ?? ''}`;
    return {
      message: `Something listens on ${where} already: stop it, or set PORT to another one.`,
      code: 1,
    };
  }
  if (code === 'EACCES')
    return { message: `Listening on port ${port ?? ''} is not permitted: set PORT.`, code: 1 };
  const message = error instanceof Error ? error.message : String(error);
  return { message: `Sluice could not start: ${message}`, code: 1 };
}

main().catch((error: unknown) => {
  const { message, code } = explain(error);
  process.stderr.write(`${message}\n`);
  process.exit(code);
});
