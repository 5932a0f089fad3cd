import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { environment } from './config.ts';

/** A process of the demo: it may be killed at any time, and is started again by whoever runs it. */
export interface Program {
  readonly child: ChildProcess;
  /** Lines of its standard output, as they come. */
  onLine(listener: (line: string) => void): void;
  /** Resolves when it has ended, with its exit code; null when a signal ended it. */
  ended: Promise<number | null>;
}

export interface ProgramOptions {
  /** Path below the repository, without its ending: `server/main`. */
  name: string;
  args?: readonly string[];
  env?: Record<string, string>;
  /** Where its standard error goes. */
  logFile: string;
}

/** Starts a program of this repository: from dist/ when we run from there, else from the source through tsx. */
export function startProgram(options: ProgramOptions): Program {
  const isSource = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(`../${options.name}.${isSource ? 'ts' : 'js'}`, import.meta.url));
  const loader = isSource ? ['--import', 'tsx'] : [];
  const child = spawn(process.execPath, [...loader, path, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inheritedEnvironment(), ...options.env },
  });
  const log = createWriteStream(options.logFile, { flags: 'a' });
  child.stderr.pipe(log);
  const listeners: ((line: string) => void)[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    log.write(chunk);
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) listeners.forEach((listener) => listener(line));
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, onLine: (listener) => void listeners.push(listener), ended };
}

/** What a child needs of our environment, and nothing that would point it at another database. */
function inheritedEnvironment(): Record<string, string> {
  const wanted = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'LANG', 'NODE_OPTIONS'];
  const given = Object.entries(environment()).filter(([name]) => wanted.includes(name));
  return Object.fromEntries(given) as Record<string, string>;
}
