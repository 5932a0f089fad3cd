import { setTimeout as sleep } from 'node:timers/promises';
import { Audience, openSubscribers } from './audience.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { percentile, toMetric } from './stats.ts';
import { openWriters } from './traffic.ts';

/** (b) From the push to another client's delta, against the bare round trip with its commit; one at a time, in turn. */
export async function measureDelta(run: Run): Promise<Report> {
  const [writer] = await openWriters(run.gateway, 1, 'branches');
  const [bareWriter] = await openWriters(run.bare, 1, 'branches');
  if (!writer || !bareWriter) throw new Error('no writers');
  let arrived: () => void = () => undefined;
  const subscribers = await openSubscribers(run.gateway, 1, [{ collection: 'branches' }]);
  const audience = new Audience(subscribers, true, () => arrived());
  const samples = { delta: [] as number[], ack: [] as number[], bare: [] as number[] };
  const count = Math.max(100, Math.round(run.seconds * 150));
  for (let i = -50; i < count; i += 1) {
    const start = performance.now();
    const delta = new Promise<number>((resolve) => (arrived = () => resolve(performance.now() - start)));
    const ack = writer.push(1).then(() => performance.now() - start);
    const [toDelta, toAck] = await Promise.all([delta, ack]);
    await sleep(2);
    const bareStart = performance.now();
    await bareWriter.push(1);
    const bare = performance.now() - bareStart;
    await sleep(2);
    if (i < 0) continue;
    samples.delta.push(toDelta);
    samples.ack.push(toAck);
    samples.bare.push(bare);
  }
  audience.close();
  writer.client.close();
  bareWriter.client.close();
  run.log(`delta: ${count} samples`);
  return {
    delta_p50: toMetric(percentile(samples.delta, 0.5), percentile(samples.bare, 0.5), 'ms'),
    delta_p99: toMetric(percentile(samples.delta, 0.99), percentile(samples.bare, 0.99), 'ms'),
    ack_p50: toMetric(percentile(samples.ack, 0.5), percentile(samples.bare, 0.5), 'ms'),
  };
}
