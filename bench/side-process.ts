import { setTimeout as sleep } from 'node:timers/promises';
import { startBare } from './bare.ts';
import { startGateway } from './gateway.ts';
import { startPrototype } from './prototype.ts';
import type { Side, SideAnswer, SideName, SideRequest, SideResult } from './side.ts';

/** Entry of a child process: runs one side and answers its parent. */
const [name = '', databaseUrl = ''] = process.argv.slice(2);
const START = { bare: startBare, prototype: startPrototype, gateway: startGateway };
const side = await START[name as SideName](databaseUrl);
serveParent(side);

function serveParent(running: Side): void {
  const memory = createMemoryWatch();
  const answer = (message: SideAnswer): void => void process.send?.(message);
  const work = async (request: SideRequest): Promise<SideResult> => {
    if (request.ask === 'tokens') return { tokens: await running.issueTokens(request.count) };
    if (request.ask === 'clients') return { clients: await running.registerClients(request.count) };
    if (request.ask === 'people') return { people: await running.createPeople(request.count) };
    if (request.ask === 'rss') return { rss: await collectedRss() };
    if (request.ask === 'watch') memory.start();
    else if (request.ask === 'peak') return { peak: memory.stop() };
    else {
      await running.close();
      setImmediate(() => process.disconnect());
    }
    return {};
  };
  process.on('message', (request: SideRequest) => {
    void work(request).then((result) => answer({ id: request.id, ...result }));
  });
  // Ctrl-C reaches the whole process group: the parent ends this process in its own order
  process.on('SIGINT', () => undefined);
  // the parent is gone: nobody would ever stop this process
  process.on('disconnect', () => setTimeout(() => process.exit(), 2_000).unref());
  answer({ id: 0, ready: running.url });
}

/** Resident bytes after garbage collection (node runs with --expose-gc). */
async function collectedRss(): Promise<number> {
  for (let i = 0; i < 4; i += 1) {
    globalThis.gc?.();
    await sleep(150);
  }
  return process.memoryUsage.rss();
}

function createMemoryWatch(): { start(): void; stop(): number } {
  let timer: NodeJS.Timeout | undefined;
  let peak = 0;
  const look = (): void => void (peak = Math.max(peak, process.memoryUsage.rss()));
  return {
    start() {
      peak = 0;
      look();
      timer = setInterval(look, 20);
    },
    stop() {
      clearInterval(timer);
      look();
      return peak;
    },
  };
}
