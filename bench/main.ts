import { once } from 'node:events';
import { Command, InvalidArgumentError } from 'commander';
import { openBenchDatabase } from './database.ts';
import { measureFanout100, measureFanout1000 } from './fanout.ts';
import { measureIdle } from './idle.ts';
import { measureLogins } from './logins.ts';
import { measureDelta } from './latency.ts';
import { measurePushBatch, measurePushSingle } from './push.ts';
import { formatTable } from './report.ts';
import type { Report } from './report.ts';
import { measureRevocation } from './revocation.ts';
import type { Measurement, Run } from './run.ts';
import { measureSnapshot } from './snapshot.ts';
import { startSide } from './start-side.ts';
import { measureTokens } from './tokens.ts';
import { measureValidation } from './validation.ts';

/** `npm run bench`: Sluice beside a bare handler and the raw SQL ceiling, in one run (docs/BENCH.md). */

/** In this order: the idle connections first, while neither process has grown. */
const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  idle_connection_kb: measureIdle,
  delta_p50: measureDelta,
  push_single: measurePushSingle,
  push_batch: measurePushBatch,
  fanout_100: measureFanout100,
  fanout_1000: measureFanout1000,
  token_endpoint: measureTokens,
  local_validation_p50_ms: measureValidation,
  login_sync_p99: measureLogins,
  revoke_disconnect_p99_ms: measureRevocation,
  snapshot_100k_s: measureSnapshot,
};

interface Options {
  json?: boolean;
  only?: string[];
  seconds: number;
  rounds: number;
  database?: string;
  cpuProf?: string;
}

const names = Object.keys(MEASUREMENTS);
const options = new Command('bench')
  .description('Measures Sluice beside a bare Socket.IO handler and the raw SQL ceiling. See docs/BENCH.md.')
  .option('--json', 'print one JSON object {metric: {value, reference, ratio, unit}} instead of the table')
  .option('--only <names...>', `measure only these: ${names.join(', ')}`, collectName)
  .option('--seconds <n>', 'length of one round on one side', positive, 3)
  .option('--rounds <n>', 'rounds on each side; the median counts', positive, 3)
  .option('--database <url>', 'PostgreSQL server to make a temporary database on (default: an embedded one)')
  .option('--cpu-prof <folder>', "write a CPU profile of the gateway's process there")
  .parse()
  .opts<Options>();

const report = await bench(options);
process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : formatTable(report)}\n`);

async function bench({ only, seconds, rounds, database: url, cpuProf }: Options): Promise<Report> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const database = await openBenchDatabase(url, log);
  const opened: { close(): Promise<void> }[] = [database];
  const closeAll = async (): Promise<void> => {
    for (const each of opened.splice(0).reverse()) await each.close();
  };
  const interrupted = once(process, 'SIGINT').then(() => Promise.reject(new Error('interrupted')));
  try {
    const profile = cpuProf === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProf}`];
    const gateway = await startSide('gateway', database.url, profile);
    opened.push(gateway);
    const bare = await startSide('bare', database.url);
    opened.push(bare);
    const prototype = await startSide('prototype', database.url);
    opened.push(prototype);
    const run: Run = { gateway, bare, prototype, databaseUrl: database.url, seconds, rounds, log };
    return await Promise.race([measureAll(run, only), interrupted]);
  } finally {
    await closeAll();
  }
}

async function measureAll(run: Run, only: string[] | undefined): Promise<Report> {
  const measured: Report = {};
  for (const [name, measure] of Object.entries(MEASUREMENTS)) {
    if (only && !only.includes(name)) continue;
    run.log(`measuring ${name} …`);
    Object.assign(measured, await measure(run));
  }
  return measured;
}

function collectName(name: string, earlier: string[] | undefined): string[] {
  if (!names.includes(name)) throw new InvalidArgumentError(`Choose among ${names.join(', ')}.`);
  return [...(earlier ?? []), name];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}
