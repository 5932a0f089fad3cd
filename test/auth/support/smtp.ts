import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('smtp-process.ts', import.meta.url));

export interface SmtpProcess {
  /** What it has taken, as it came. */
  mails: string[];
  /** Ends it as a power cut would, and waits for the end. */
  kill(): Promise<void>;
  ended: Promise<unknown>;
}

/** Starts a mail server in a process of its own; `dies` says when it kills itself. */
export async function startSmtpProcess(
  port: number,
  dies: 'never' | 'in-data' | 'unsaid' = 'never',
): Promise<SmtpProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, String(port), dies], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const mails: string[] = [];
  // `close`, for then everything it wrote has been read
  const ended = once(child, 'close');
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the mail server did not start')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as { mail?: string };
      if (said.mail === undefined) resolve();
      else mails.push(said.mail);
    });
  });
  return {
    mails,
    ended,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
