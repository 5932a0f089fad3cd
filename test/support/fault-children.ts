import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ChildOptions } from './gateway-child.ts';

export interface GatewayChild {
  url: string;
  port: number;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  exited: Promise<void>;
}

/** Starts a gateway in a process of its own. */
export async function startGatewayChild(options: ChildOptions): Promise<GatewayChild> {
  return await startChild('./gateway-child.ts', JSON.stringify(options));
}

export async function startChild(script: string, argument: string): Promise<GatewayChild> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, argument], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => resolve(data.toString().trim()));
    void exited.then(() => reject(new Error(`the gateway did not start: ${complaint}`)));
  });
  return {
    url,
    port: Number(new URL(url).port),
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
