import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Side, SideAnswer, SideName, SideRequest, SideResult } from './side.ts';

/** A side in its own process, with what only the process itself can tell. */
export interface RunningSide extends Side {
  name: SideName;
  pid: number;
  /** Resident bytes after garbage collection. */
  rss(): Promise<number>;
  /** Starts watching the resident size; `peak` ends it and returns the highest. */
  watch(): Promise<void>;
  peak(): Promise<number>;
}

type Ask = SideRequest extends infer R ? (R extends SideRequest ? Omit<R, 'id'> : never) : never;

/** Starts a side as a child process; `nodeOptions` are further arguments of node, such as `--cpu-prof`. */
export async function startSide(
  name: SideName,
  databaseUrl: string,
  nodeOptions: readonly string[] = [],
): Promise<RunningSide> {
  const entry = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './side-process.ts' : './side-process.js', import.meta.url),
  );
  const child = fork(entry, [name, databaseUrl], {
    execArgv: [...process.execArgv, '--expose-gc', ...nodeOptions],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (answer: SideResult) => void>();
  let nextId = 1;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the ${name} process ended with code ${String(code)}`)));
    child.on('message', (answer: SideAnswer) => {
      if ('ready' in answer) {
        resolve(answer.ready);
        return;
      }
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    });
  });
  const request = (ask: Ask): Promise<SideResult> =>
    new Promise((resolve, reject) => {
      const id = nextId++;
      waiting.set(id, resolve);
      void exited.then(() => reject(new Error(`the ${name} process has ended`)));
      child.send({ id, ...ask });
    });
  return {
    name,
    url,
    pid: child.pid ?? 0,
    issueTokens: async (count) => (await request({ ask: 'tokens', count })).tokens ?? [],
    registerClients: async (count) => (await request({ ask: 'clients', count })).clients ?? [],
    createPeople: async (count) => (await request({ ask: 'people', count })).people ?? [],
    rss: async () => (await request({ ask: 'rss' })).rss ?? 0,
    watch: async () => {
      await request({ ask: 'watch' });
    },
    peak: async () => (await request({ ask: 'peak' })).peak ?? 0,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      await request({ ask: 'close' });
      await exited;
    },
  };
}
