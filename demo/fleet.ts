import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Credentials } from './admin.ts';
import { startProgram } from './program.ts';
import type { Program } from './program.ts';
import { createErp } from './retail/erp.ts';
import type { LoadedBranch } from './retail/load.ts';
import { stockUp } from './retail/opening.ts';

/** One branch as it runs: its books, its till and its agent, the two as processes of their own. */
export interface BranchRun {
  slug: string;
  databasePath: string;
  total: number;
  /** Invoices in the books. */
  readonly sold: number;
  startSelling(pace: number, seed: number): void;
  /** Resolves when everything is sold. Rejects when the till fails. */
  soldOut: Promise<void>;
  startAgent(): void;
  /** SIGKILL; it is started again after `downMs`. */
  killAgent(downMs: number): Promise<void>;
  /** False: there is nothing left to sell. */
  killTill(downMs: number): Promise<boolean>;
  /** The last invoice waits until `letEnd`. */
  holdOpen(): void;
  letEnd(): void;
  close(): Promise<void>;
}

export interface BranchOptions {
  workDir: string;
  gatewayUrl: string;
  credentials: Credentials;
  branch: LoadedBranch;
}

/** Builds the branch's database and files below the work folder; nothing runs yet. */
export async function createBranchRun(options: BranchOptions): Promise<BranchRun> {
  const { branch, invoices, opening, orders } = options.branch;
  const folder = join(options.workDir, branch.slug);
  mkdirSync(folder, { recursive: true });
  const databasePath = join(folder, 'erp.db');
  const erp = createErp(databasePath);
  stockUp(erp, opening, dayBefore(invoices));
  erp.close();
  const invoicesPath = join(folder, 'invoices.ndjson');
  await writeLines(invoicesPath, invoices);
  const ordersPath = join(folder, 'orders.ndjson');
  await writeLines(ordersPath, orders);
  const configPath = writeAgentConfig(folder, options);
  return runBranch({
    slug: branch.slug,
    total: invoices.length,
    folder,
    databasePath,
    invoicesPath,
    ordersPath,
    configPath,
  });
}

interface Places {
  slug: string;
  total: number;
  folder: string;
  databasePath: string;
  invoicesPath: string;
  ordersPath: string;
  configPath: string;
}

function runBranch(places: Places): BranchRun {
  let sold = 0;
  const holdPath = join(places.folder, 'hold-open');
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const soldOut = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  // a till that fails before anybody waits for it is still reported to whoever waits later
  soldOut.catch(() => undefined);
  const agent = createKept(() => {
    const args = ['run', '--config', places.configPath, '--json'];
    return startProgram({ name: 'agent/main', args, logFile: join(places.folder, 'agent.log') });
  });
  let pace: string[] = [];
  const till = createKept(() => {
    const args = [places.databasePath, places.invoicesPath, places.ordersPath, holdPath, ...pace];
    const program = startProgram({
      name: 'demo/branch-process',
      args,
      logFile: join(places.folder, 'till.log'),
    });
    program.onLine((line) => (sold = Math.max(sold, Number(line))));
    void program.ended.then((code) => {
      if (code === 0) settle?.resolve();
      else if (code !== null) settle?.reject(new Error(`the till of ${places.slug} failed: see till.log`));
    });
    return program;
  });
  return {
    slug: places.slug,
    databasePath: places.databasePath,
    total: places.total,
    get sold() {
      return sold;
    },
    soldOut,
    startAgent: () => agent.start(),
    startSelling(perSecond, seed) {
      pace = [String(perSecond), String(seed)];
      till.start();
    },
    killAgent: (downMs) => agent.kill(downMs),
    killTill: async (downMs) => {
      if (sold >= places.total) return false;
      await till.kill(downMs);
      return true;
    },
    holdOpen: () => writeFileSync(holdPath, ''),
    letEnd: () => rmSync(holdPath, { force: true }),
    async close() {
      await till.close('SIGKILL');
      await agent.close('SIGTERM');
    },
  };
}

/** A program that is started again after it was killed, until it is closed. */
function createKept(start: () => Program): {
  start(): void;
  kill(downMs: number): Promise<void>;
  close(signal: NodeJS.Signals): Promise<void>;
} {
  let program: Program | undefined;
  let closed = false;
  return {
    start: () => void (program = start()),
    async kill(downMs) {
      program?.child.kill('SIGKILL');
      await program?.ended;
      await sleep(downMs);
      if (!closed) program = start();
    },
    async close(signal) {
      closed = true;
      program?.child.kill(signal);
      const late = await Promise.race([program?.ended, sleep(10_000, 'late' as const, { ref: false })]);
      if (late === 'late') program?.child.kill('SIGKILL');
    },
  };
}

function dayBefore([first]: LoadedBranch['invoices']): string {
  const day = 24 * 60 * 60 * 1_000;
  return new Date((first ? Date.parse(first.date) : Date.now()) - day).toISOString();
}

async function writeLines(path: string, values: readonly unknown[]): Promise<void> {
  const file = createWriteStream(path);
  for (const value of values) if (!file.write(`${JSON.stringify(value)}\n`)) await once(file, 'drain');
  file.end();
  await once(file, 'finish');
}

/** The agent's own example, which is made for these books, with this branch's name, address and secret. */
function writeAgentConfig(folder: string, { gatewayUrl, credentials, branch }: BranchOptions): string {
  const secretPath = join(folder, 'client.secret');
  writeFileSync(secretPath, credentials.clientSecret, { mode: 0o600 });
  const { clientSecret: _secret, clientSecretEnv: _name, ...example } = readExample();
  const config = {
    ...example,
    gateway: gatewayUrl,
    clientId: credentials.clientId,
    clientSecretFile: 'client.secret',
    partition: branch.branch.slug,
    database: 'erp.db',
    // a demo is short: nobody wants to wait half a minute for the next try
    reconnectCapMs: 1_000,
  };
  const path = join(folder, 'agent.json');
  writeFileSync(path, JSON.stringify(config, null, 2));
  return path;
}

function readExample(): Record<string, unknown> {
  for (const place of ['../agent/example-config.json', '../../agent/example-config.json']) {
    try {
      return JSON.parse(readFileSync(fileURLToPath(new URL(place, import.meta.url)), 'utf8')) as Record<
        string,
        unknown
      >;
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOENT') throw error;
    }
  }
  throw new Error('agent/example-config.json is missing');
}
