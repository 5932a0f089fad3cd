import type { Snapshot } from '../protocol/sync.ts';
import { settle } from './database.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import type { RunningSide } from './start-side.ts';
import { median, toMetric } from './stats.ts';
import { openWriters, sayHello } from './traffic.ts';
import { connectWire } from './wire-client.ts';
import type { WireClient } from './wire-client.ts';

const RECORDS = 100_000;
const BATCH = 1_000;
const COLLECTION = 'branches';

/** (e) Seconds until a new client holds 100,000 records, and how far the gateway grows meanwhile. */
export async function measureSnapshot(run: Run): Promise<Report> {
  await seed(run);
  await settle(run.databaseUrl);
  const seconds = { own: [] as number[], bare: [] as number[] };
  const growth: number[] = [];
  for (let round = 0; round <= run.rounds; round += 1) {
    const before = await run.gateway.rss();
    await run.gateway.watch();
    const own = await takeSnapshot(run.gateway);
    const grown = ((await run.gateway.peak()) - before) / 1024 / 1024;
    const bare = await takeBareSnapshot(run.bare);
    run.log(
      `snapshot round ${round}: ${own.toFixed(2)} s, grown by ${grown.toFixed(1)} MB; bare ${bare.toFixed(2)} s`,
    );
    if (round === 0) continue;
    seconds.own.push(own);
    seconds.bare.push(bare);
    growth.push(grown);
  }
  return {
    snapshot_100k_s: toMetric(median(seconds.own), median(seconds.bare), 's'),
    snapshot_100k_growth_mb: toMetric(median(growth), null, 'MB'),
  };
}

/** Through the front door, so that the records are as real ones are. */
async function seed(run: Run): Promise<void> {
  const writers = await openWriters(run.gateway, 4, COLLECTION);
  const share = RECORDS / BATCH / writers.length;
  await Promise.all(
    writers.map(async (writer) => {
      for (let i = 0; i < share; i += 1) await writer.push(BATCH);
    }),
  );
  for (const { client } of writers) client.close();
  run.log(`snapshot: ${RECORDS} records pushed`);
}

async function takeSnapshot(side: RunningSide): Promise<number> {
  const [token = ''] = await side.issueTokens(1);
  const start = performance.now();
  const client = await connectWire(side.url, { token });
  const complete = new Promise<number>((resolve, reject) => {
    let records = 0;
    client.onFrame = (frame) => {
      const [event, page] = parseFrame(frame) as [string, Snapshot];
      if (event !== 'sync:snapshot') return;
      records += page.records.length;
      // every page: one is about a quarter of the credit in bytes
      client.send('sync:ack', JSON.stringify({ page: page.page }));
      if (page.more) return;
      if (records < RECORDS) reject(new Error(`the snapshot held ${records} records of ${RECORDS}`));
      else resolve(performance.now() - start);
    };
  });
  await sayHello(client, [{ collection: COLLECTION }]);
  return await finish(client, complete);
}

async function takeBareSnapshot(side: RunningSide): Promise<number> {
  const start = performance.now();
  const client = await connectWire(side.url, {});
  client.onFrame = (frame) => {
    const id = /^42\/sync,(\d+)/.exec(frame.toString('latin1', 0, 40))?.[1] ?? '';
    parseFrame(frame);
    client.answer(id);
  };
  const complete = client
    .request('snapshot', JSON.stringify(COLLECTION))
    .then(() => performance.now() - start);
  return await finish(client, complete);
}

async function finish(client: WireClient, complete: Promise<number>): Promise<number> {
  try {
    return (await complete) / 1_000;
  } finally {
    client.close();
  }
}

function parseFrame(frame: Buffer): unknown {
  const text = frame.toString();
  return JSON.parse(text.slice(text.indexOf('[')));
}
