import pg from 'pg';
import { writeBareGroup } from './bare.ts';
import type { BareMutation } from './bare.ts';
import { settle } from './database.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { median, toMetric } from './stats.ts';
import { measureRate, openWriters, pushBody } from './traffic.ts';

interface Shape {
  name: 'push_single' | 'push_batch';
  writers: number;
  perWriter: number;
  records: number;
}

/** 64 in flight in both shapes would be 6,400 records: batches are sent eight at a time, as eight branches would. */
const SINGLE: Shape = { name: 'push_single', writers: 16, perWriter: 4, records: 1 };
const BATCH: Shape = { name: 'push_batch', writers: 8, perWriter: 1, records: 100 };

/** (a) Durable, acknowledged single-record pushes a second, 64 in flight. */
export const measurePushSingle = (run: Run): Promise<Report> => measurePush(run, SINGLE);

/** (a) Records a second in acknowledged batches of 100. */
export const measurePushBatch = (run: Run): Promise<Report> => measurePush(run, BATCH);

async function measurePush(run: Run, shape: Shape): Promise<Report> {
  const sides = await Promise.all(
    [run.gateway, run.prototype, run.bare].map(async (side) => ({
      name: side.name,
      writers: await openWriters(side, shape.writers),
      rates: [] as number[],
    })),
  );
  const ceilings: number[] = [];
  for (let round = 0; round <= run.rounds; round += 1) {
    await settle(run.databaseUrl);
    const seconds = round === 0 ? Math.min(1.5, run.seconds) : run.seconds;
    // who comes first changes, or the second would always have the larger tables
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const rate = await measureRate(side.writers, { ...shape, seconds });
      side.rates.push(rate);
      run.log(`${shape.name} ${side.name} ${titleOf(round)}: ${Math.round(rate)}/s`);
    }
    ceilings.push(await measureCeiling(run.databaseUrl, shape, seconds / 2));
  }
  for (const { writers } of sides) for (const { client } of writers) client.close();
  const [own = NaN, prototype = NaN, bare = NaN] = sides.map(({ rates }) => median(rates.slice(1)));
  const ceiling = median(ceilings.slice(1));
  return {
    [shape.name]: toMetric(own, prototype, 'records/s'),
    [`${shape.name}_leanest`]: toMetric(own, bare, 'records/s'),
    [`${shape.name}_sql`]: toMetric(own, ceiling, 'records/s'),
    [`${shape.name}_bare_of_sql`]: toMetric(bare, ceiling, 'records/s'),
  };
}

function titleOf(round: number): string {
  return round === 0 ? 'warm-up' : `round ${round}`;
}

/** The raw SQL ceiling: the bare handler's group writes, as large as they can get here, without sockets. */
async function measureCeiling(url: string, shape: Shape, seconds: number): Promise<number> {
  const client = new pg.Client({ connectionString: url, options: '-c synchronous_commit=on -c jit=off' });
  await client.connect();
  const inFlight = shape.writers * shape.perWriter;
  const start = performance.now();
  let records = 0;
  while (performance.now() - start < seconds * 1_000) {
    const group = Array.from(
      { length: inFlight },
      () => (JSON.parse(pushBody(1, shape.records)) as { mutations: BareMutation[] }).mutations,
    );
    await writeBareGroup(client, group);
    records += inFlight * shape.records;
  }
  const elapsed = (performance.now() - start) / 1_000;
  await client.end();
  return records / elapsed;
}
