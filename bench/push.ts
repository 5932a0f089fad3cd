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
  const sides = [run.gateway, run.bare];
  const writers = await Promise.all(sides.map((side) => openWriters(side, shape.writers)));
  const rates = sides.map((): number[] => []);
  const ceilings: number[] = [];
  for (let round = 0; round <= run.rounds; round += 1) {
    await settle(run.databaseUrl);
    const seconds = round === 0 ? Math.min(1.5, run.seconds) : run.seconds;
    for (const i of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const rate = await measureRate(writers[i] ?? [], { ...shape, seconds });
      if (round > 0) rates[i]?.push(rate);
      run.log(`${shape.name} ${sides[i]?.name ?? ''} ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(rate)}/s`);
    }
    if (round > 0) ceilings.push(await measureCeiling(run.databaseUrl, shape, run.seconds / 2));
  }
  for (const { client } of writers.flat()) client.close();
  const [own = [], bare = []] = rates;
  return {
    [shape.name]: toMetric(median(own), median(bare), 'records/s'),
    [`${shape.name}_sql`]: toMetric(median(own), median(ceilings), 'records/s'),
    [`${shape.name}_bare_of_sql`]: toMetric(median(bare), median(ceilings), 'records/s'),
  };
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
