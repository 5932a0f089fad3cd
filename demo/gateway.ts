import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProgram } from './program.ts';
import type { Program } from './program.ts';

/** The gateway of the demo: a process of its own on the embedded database, started again whenever it was killed. */
export interface DemoGateway {
  url: string;
  port: number;
  adminKey(): string;
  /** SIGKILL; it is started again after `downMs`. */
  kill(downMs: number): Promise<void>;
  /** SIGKILL for its PostgreSQL; the gateway starts it again. Returns whether there was one. */
  killPostgres(): boolean;
  readonly starts: number;
  close(): Promise<void>;
}

const READY_MS = 60_000;

export async function startDemoGateway(workDir: string, preferredPort: number): Promise<DemoGateway> {
  const port = await findFreePort(preferredPort);
  const url = `http://127.0.0.1:${port}`;
  const dataDir = join(workDir, 'sluice');
  let starts = 0;
  let program: Program | undefined;
  const start = async (): Promise<void> => {
    starts += 1;
    program = startProgram({
      name: 'server/main',
      logFile: join(workDir, 'gateway.log'),
      env: { PORT: String(port), DATA_DIR: dataDir, LOG_LEVEL: 'warn', RATE_LIMIT_MAX_REQUESTS: '100000' },
    });
    await untilReady(url, program, join(workDir, 'gateway.log'));
  };
  await start();
  return {
    url,
    port,
    adminKey: () => readFileSync(join(dataDir, 'admin.key'), 'utf8').trim(),
    async kill(downMs) {
      program?.child.kill('SIGKILL');
      await program?.ended;
      await sleep(downMs);
      await start();
    },
    killPostgres: () => killPostmaster(join(dataDir, 'postgres', 'postmaster.pid')),
    get starts() {
      return starts;
    },
    async close() {
      program?.child.kill('SIGTERM');
      const late = sleep(15_000, 'late', { ref: false });
      if ((await Promise.race([program?.ended, late])) === 'late') program?.child.kill('SIGKILL');
    },
  };
}

function killPostmaster(pidFile: string): boolean {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
    if (!Number.isSafeInteger(pid) || pid <= 1) return false;
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

async function untilReady(url: string, program: Program, logFile: string): Promise<void> {
  const end = Date.now() + READY_MS;
  let exit: number | null | undefined;
  void program.ended.then((code) => (exit = code));
  while (Date.now() < end) {
    const ready = await fetch(`${url}/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    if (exit !== undefined) throw new Error(`the gateway ended with ${exit ?? 'a signal'}: see ${logFile}`);
    await sleep(50);
  }
  throw new Error(`the gateway was not ready within ${READY_MS / 1_000} s: see ${logFile}`);
}

/** The preferred port when nothing listens there, else any free one. */
async function findFreePort(preferred: number): Promise<number> {
  for (const port of [preferred, 0]) {
    const free = await new Promise<number>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(0));
      server.listen(port, '127.0.0.1', () => {
        const { port: bound } = server.address() as AddressInfo;
        server.close(() => resolve(bound));
      });
    });
    if (free > 0) return free;
  }
  throw new Error('there is no free port on 127.0.0.1');
}
