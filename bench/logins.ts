import { setTimeout as sleep } from 'node:timers/promises';
import { JSON_TYPE, createFormClient } from './form-client.ts';
import type { FormClient } from './form-client.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { BENCH_PASSWORD } from './side.ts';
import { percentile, toMetric } from './stats.ts';
import { openWriters } from './traffic.ts';
import type { Writer } from './traffic.ts';

const LOGINS = 200;
const WRITERS = 4;
/** Between two pushes of a writer: what is measured is waiting, not throughput. */
const GAP_MS = 10;

/** What 200 people who log in at once cost those who sync: p99 from a push to its acknowledgement, beside the quiet before. */
export async function measureLogins(run: Run): Promise<Report> {
  const writers = await openWriters(run.gateway, WRITERS);
  const people = await run.gateway.createPeople(LOGINS);
  const http = createFormClient(run.gateway.url, LOGINS);
  const samples = { quiet: [] as number[], busy: [] as number[] };
  await pushUntil(writers, sleep(1_000));
  for (let round = 0; round < run.rounds; round += 1) {
    const started = performance.now();
    const busy = await pushUntil(writers, Promise.all(people.map((name) => logIn(http, name))));
    const seconds = (performance.now() - started) / 1_000;
    // as long as the logins took
    const quiet = await pushUntil(writers, sleep(seconds * 1_000));
    samples.busy.push(...busy);
    samples.quiet.push(...quiet);
    run.log(
      `login_sync: ${LOGINS} logins in ${seconds.toFixed(1)} s; ${busy.length} and ${quiet.length} pushes`,
    );
  }
  http.close();
  for (const { client } of writers) client.close();
  return {
    login_sync_p99: toMetric(percentile(samples.busy, 0.99), percentile(samples.quiet, 0.99), 'ms'),
    login_sync_p50: toMetric(percentile(samples.busy, 0.5), percentile(samples.quiet, 0.5), 'ms'),
  };
}

async function logIn(http: FormClient, username: string): Promise<void> {
  const body = JSON.stringify({ username, password: BENCH_PASSWORD });
  const answer = await http.post('/api/login', body, JSON_TYPE);
  if (answer.status !== 200) throw new Error(`no login: ${answer.status} ${JSON.stringify(answer.body)}`);
}

/** Milliseconds to each acknowledgement, until the work is done. */
async function pushUntil(writers: readonly Writer[], work: Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  let isOver = false;
  const lanes = writers.map(async (writer) => {
    while (!isOver) {
      const start = performance.now();
      await writer.push(1);
      samples.push(performance.now() - start);
      await sleep(GAP_MS);
    }
  });
  await work.finally(() => (isOver = true));
  await Promise.all(lanes);
  return samples;
}
