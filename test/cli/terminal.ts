import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Environment } from '../../client-cli/config.ts';
import type { Host } from '../../client-cli/context.ts';
import { runProgram } from '../../client-cli/program.ts';
import { systemClock } from '../../sdk/clock.ts';

/** The client with streams of the test's own: pipes, or a terminal of a given size. */
export interface Terminal {
  host: Host;
  /** Everything written to the standard output and to the error output so far. */
  out(): string;
  err(): string;
  /** Types keys. */
  type(keys: string): void;
  interrupt(): void;
  run(...argv: string[]): Promise<number>;
}

export interface TerminalOptions {
  url: string;
  configDir: string;
  tty?: { columns: number; rows: number };
  environment?: Partial<Environment>;
}

export function createTerminal({ url, configDir, tty, environment }: TerminalOptions): Terminal {
  const interrupted = new AbortController();
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const written = { out: '', err: '' };
  output.on('data', (chunk) => (written.out += String(chunk)));
  errors.on('data', (chunk) => (written.err += String(chunk)));
  if (tty) {
    Object.assign(input, { isTTY: true, setRawMode: () => input });
    Object.assign(output, { isTTY: true, ...tty });
  }
  const host: Host = {
    input,
    output,
    errors,
    environment: {
      ...{ url, configDir, adminKey: undefined, adminKeyFile: join(configDir, 'admin.key') },
      ...{ workingDir: configDir, noColor: true },
      ...environment,
    },
    clock: systemClock,
    signal: interrupted.signal,
  };
  return {
    host,
    out: () => written.out,
    err: () => written.err,
    type: (keys) => void input.write(keys),
    interrupt: () => interrupted.abort(),
    run: (...argv) => runProgram(host, argv),
  };
}

export async function withFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cli-'));
  try {
    await fn(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
