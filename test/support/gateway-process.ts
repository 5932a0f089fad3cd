import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The gateway as a user starts it: a process of its own, from the source. */
export interface GatewayProcess {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves with the URL once it says that it is listening; rejects when it ends before. */
  url: Promise<string>;
  /** Resolves with the exit code; null when a signal ended it. */
  ended: Promise<number | null>;
}

const MAIN = fileURLToPath(new URL('../../server/main.ts', import.meta.url));

export function startGatewayProcess(env: Record<string, string>, cwd?: string): GatewayProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', LOG_LEVEL: 'silent', ...env },
    cwd: cwd ?? fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const url = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      const found = /listening on (\S+)/.exec(out)?.[1];
      if (found !== undefined) resolve(found);
    });
    void ended.then((code) => reject(new Error(`ended with ${code ?? 'a signal'}: ${err}`)));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  url.catch(() => undefined);
  return { child, stdout: () => out, stderr: () => err, url, ended };
}
