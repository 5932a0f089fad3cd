import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Credentials } from './admin.ts';
import { startProgram } from './program.ts';
import type { Program } from './program.ts';
import { createErp } from './retail/erp.ts';
import type { LoadedBranch } from './retail/load.ts';

/** One branch as it runs: its books, its till and its agent, the two as processes of their own. */
export interface BranchRun {
  slug: string;
  databasePath: string;
  total: number;
  /** Invoices in the books. */
  readonly sold: number;
  readonly agentStarts: number;
  startSelling(pace: number, seed: number): void;
  /** Resolves when everything is sold. Rejects when the till fails. */
  soldOut: Promise<void>;
  startAgent(): void;
  /** SIGKILL; it is started again after `downMs`. */
  killAgent(downMs: number): Promise<void>;
  killTill(downMs: number): Promise<void>;
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
  const { branch, invoices } = options.branch;
  const folder = join(options.workDir, branch.slug);
  mkdirSync(folder, { recursive: true });
  const databasePath = join(folder, 'erp.db');
  createErp(databasePath).close();
  const invoicesPath = join(folder, 'invoices.ndjson');
  await writeInvoices(invoicesPath, invoices);
  const configPath = writeAgentConfig(folder, options);
  return runBranch({
    slug: branch.slug,
    total: invoices.length,
    folder,
    databasePath,
    invoicesPath,
    configPath,
  });
}

interface Places {
  slug: string;
  total: number;
  folder: string;
  databasePath: string;
  invoicesPath: string;
  configPath: string;
}

function runBranch(places: Places): BranchRun {
  let agent: Program | undefined;
  let till: Program | undefined;
  let sold = 0;
  let agentStarts = 0;
  let closing = false;
  let sell: () => void = () => undefined;
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const soldOut = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  // a till that fails before anybody waits for it is still reported to whoever waits later
  soldOut.catch(() => undefined);
  const startAgent = (): void => {
    agentStarts += 1;
    const args = ['run', '--config', places.configPath, '--json'];
    const program = startProgram({ name: 'agent/main', args, logFile: join(places.folder, 'agent.log') });
    agent = program;
  };
  const kill = async (program: Program | undefined, downMs: number): Promise<void> => {
    program?.child.kill('SIGKILL');
    await program?.ended;
    await sleep(downMs);
  };
  return {
    slug: places.slug,
    databasePath: places.databasePath,
    total: places.total,
    get sold() {
      return sold;
    },
    get agentStarts() {
      return agentStarts;
    },
    soldOut,
    startAgent,
    startSelling(pace, seed) {
      sell = () => {
        const args = [places.databasePath, places.invoicesPath, String(pace), String(seed)];
        const program = startProgram({
          name: 'demo/branch-process',
          args,
          logFile: join(places.folder, 'till.log'),
        });
        till = program;
        program.onLine((line) => (sold = Math.max(sold, Number(line))));
        void program.ended.then((code) => {
          if (code === 0) settle?.resolve();
          else if (code !== null)
            finished.reject(new Error(`the till of ${places.slug} failed: see till.log`));
        });
      };
      sell();
    },
    async killAgent(downMs) {
      await kill(agent, downMs);
      if (!closing) startAgent();
    },
    async killTill(downMs) {
      if (sold >= places.total) return;
      await kill(till, downMs);
      if (!closing) sell();
    },
    async close() {
      closing = true;
      till?.child.kill('SIGKILL');
      agent?.child.kill('SIGTERM');
      const late = await Promise.race([agent?.ended, sleep(10_000, 'late' as const, { ref: false })]);
      if (late === 'late') agent?.child.kill('SIGKILL');
      await till?.ended;
    },
  };
}

async function writeInvoices(path: string, invoices: readonly unknown[]): Promise<void> {
  const file = createWriteStream(path);
  for (const invoice of invoices) if (!file.write(`${JSON.stringify(invoice)}\n`)) await once(file, 'drain');
  file.end();
  await once(file, 'finish');
}

/** The agent's own example, which is made for these books, with this branch's name, address and secret. */
function writeAgentConfig(folder: string, { gatewayUrl, credentials, branch }: BranchOptions): string {
  const secretPath = join(folder, 'client.secret');
  writeFileSync(secretPath, credentials.clientSecret, { mode: 0o600 });
  const { clientSecret: _1, clientSecretEnv: _2, ...example } = readExample();
  const config = {
    ...example,
    gateway: gatewayUrl,
    clientId: credentials.clientId,
    clientSecretFile: 'client.secret',
    partition: branch.branch.slug,
    database: 'erp.db',
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
