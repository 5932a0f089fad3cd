import { Audience, openSubscribers, openWith } from './audience.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import type { RunningSide } from './start-side.ts';
import { toMetric } from './stats.ts';

const CONNECTIONS = 5_000;
/** Opened before the first reading, so that what a process allocates once is not counted. */
const WARM_UP = 1_000;

/** (d) Resident kilobytes of the server's process per idle connection that is authenticated and subscribed. */
export async function measureIdle(run: Run): Promise<Report> {
  const own = await measureSide(run, run.gateway);
  const bare = await measureSide(run, run.bare);
  return { idle_connection_kb: toMetric(own, bare, 'KB') };
}

async function measureSide(run: Run, side: RunningSide): Promise<number> {
  const subscribe = [{ collection: 'porosia' }, { collection: 'fatura' }];
  const warm = new Audience(await openSubscribers(side, WARM_UP, subscribe), side.name === 'gateway');
  // registering thousands of clients is no part of what a connection holds
  const tokens = await side.issueTokens(CONNECTIONS);
  const before = await side.rss();
  const idle = new Audience(await openWith(side, tokens, subscribe), side.name === 'gateway');
  const after = await side.rss();
  const broken = warm.broken + idle.broken;
  warm.close();
  idle.close();
  if (broken > 0) throw new Error(`${broken} idle connections were cut off`);
  const each = (after - before) / CONNECTIONS / 1_024;
  run.log(`idle ${side.name}: ${CONNECTIONS} connections, ${each.toFixed(1)} KB each`);
  return each;
}
