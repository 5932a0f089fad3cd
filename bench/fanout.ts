import { Audience, openSubscribers } from './audience.ts';
import type { SeenFrame } from './audience.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { median, toMetric } from './stats.ts';
import { openWriters } from './traffic.ts';
import { connectWire } from './wire-client.ts';

/** Changes that may be on their way to somebody: enough to keep either side busy, and equal for both. */
const UNDELIVERED = 256;
/** Pushes without their acknowledgement. */
const UNACKNOWLEDGED = 64;

interface Rate {
  changes: number;
  frames: number;
}

/** (c) Changes delivered a second to 100 subscribers of one scope, a pusher at full speed. */
export const measureFanout100 = (run: Run): Promise<Report> => measureFanout(run, 100, 'assets');

/** (c) The same to 1,000 subscribers. */
export const measureFanout1000 = (run: Run): Promise<Report> => measureFanout(run, 1_000, 'settings');

/**
 * Sluice puts a commit group into one frame, a bare room emits each change as it comes: the first reference sends the
 * same bytes a change, one event each; the second (`_equal_frames`) sends frames as large as the gateway's were, though
 * without committing anything, so that there the gateway's commits are part of what is compared.
 */
async function measureFanout(run: Run, subscribers: number, collection: string): Promise<Report> {
  const name = `fanout_${subscribers}`;
  const own = await createStage(run, subscribers, collection);
  const bare = await createBareStage(run, subscribers);
  const rates = { own: [] as Rate[], each: [] as Rate[], equal: [] as Rate[] };
  for (let round = 0; round <= run.rounds; round += 1) {
    const seconds = round === 0 ? Math.min(1.5, run.seconds) : run.seconds;
    const ownRate = await own.measure(seconds);
    const frame = own.audience.sample;
    if (!frame) throw new Error('no delta was seen');
    const perFrame = ownRate.changes / Math.max(ownRate.frames, 1);
    const each = await bare.measure(seconds, resized(frame, 1));
    const equal = await bare.measure(seconds, resized(frame, Math.max(1, Math.round(perFrame))));
    run.log(
      `${name} ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(ownRate.changes)}/s in frames of ` +
        `${perFrame.toFixed(1)}; bare ${Math.round(each.changes)}/s, in equal frames ${Math.round(equal.changes)}/s`,
    );
    if (round === 0) continue;
    rates.own.push(ownRate);
    rates.each.push(each);
    rates.equal.push(equal);
  }
  const lost = own.audience.broken + bare.audience.broken;
  own.close();
  bare.close();
  if (lost > 0) throw new Error(`${name}: ${lost} connections were cut off`);
  const middle = (of: Rate[], figure: keyof Rate): number => median(of.map((rate) => rate[figure]));
  return {
    [name]: toMetric(middle(rates.own, 'changes'), middle(rates.each, 'changes'), 'deliveries/s'),
    [`${name}_equal_frames`]: toMetric(
      middle(rates.own, 'frames'),
      middle(rates.equal, 'frames'),
      'frames/s',
    ),
  };
}

interface Stage {
  audience: Audience;
  measure(seconds: number, frame?: SeenFrame): Promise<Rate>;
  close(): void;
}

/** The gateway: eight writers push single records as fast as they are acknowledged and delivered. */
async function createStage(run: Run, subscribers: number, collection: string): Promise<Stage> {
  const writers = await openWriters(run.gateway, 8, collection);
  const flow = createFlow();
  const clients = await openSubscribers(run.gateway, subscribers, [{ collection }]);
  const audience = new Audience(clients, true, (changes) => flow.delivered(changes));
  let turn = 0;
  return {
    audience,
    measure: (seconds) =>
      flow.run(audience, seconds, {
        changes: 1,
        unacknowledged: UNACKNOWLEDGED,
        send: async () => {
          await writers[(turn += 1) % writers.length]?.push(1);
        },
      }),
    close() {
      audience.close();
      for (const { client } of writers) client.close();
    },
  };
}

/** The bare room: one publisher, frames of the same bytes as the gateway's. */
async function createBareStage(run: Run, subscribers: number): Promise<Stage> {
  const publisher = await connectWire(run.bare.url, {});
  const flow = createFlow();
  const clients = await openSubscribers(run.bare, subscribers, []);
  const audience = new Audience(clients, false, (changes) => flow.delivered(changes));
  let sent = 0;
  return {
    audience,
    measure: (seconds, frame) =>
      flow.run(audience, seconds, {
        changes: frame?.changes ?? 1,
        unacknowledged: UNACKNOWLEDGED,
        send: async () => {
          sent += 1;
          await publisher.request('publish', renumbered(frame?.json ?? '{}', sent));
        },
      }),
    close() {
      audience.close();
      publisher.close();
    },
  };
}

interface Source {
  /** Changes one message carries. */
  changes: number;
  unacknowledged: number;
  /** Sends one message; resolves when it is acknowledged. */
  send(): Promise<void>;
}

interface Flow {
  delivered(changes: number): void;
  run(audience: Audience, seconds: number, source: Source): Promise<Rate>;
}

/** A source kept at full speed within the two windows, the same for both sides. */
function createFlow(): Flow {
  let undelivered = 0;
  let unacknowledged = 0;
  let stopped = true;
  let failure: unknown;
  let source: Source | undefined;
  const fill = (): void => {
    while (source && !stopped && unacknowledged < source.unacknowledged && hasRoom(source.changes)) {
      unacknowledged += 1;
      undelivered += source.changes;
      source
        .send()
        .catch((error: unknown) => ((failure = error), (stopped = true)))
        .finally(() => {
          unacknowledged -= 1;
          fill();
        });
    }
  };
  const hasRoom = (changes: number): boolean => undelivered === 0 || undelivered + changes <= UNDELIVERED;
  const drained = async (): Promise<void> => {
    const end = performance.now() + 20_000;
    while ((undelivered > 0 || unacknowledged > 0) && failure === undefined) {
      if (performance.now() > end)
        throw new Error(`${undelivered} changes did not reach everybody within 20 s`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return {
    delivered(changes) {
      undelivered -= changes;
      fill();
    },
    async run(audience, seconds, from) {
      source = from;
      stopped = false;
      const before = { changes: audience.deliveries, frames: audience.frames };
      const start = performance.now();
      fill();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      const elapsed = (performance.now() - start) / 1_000;
      const rate = {
        changes: (audience.deliveries - before.changes) / elapsed,
        frames: (audience.frames - before.frames) / elapsed,
      };
      stopped = true;
      await drained();
      if (failure !== undefined) throw failure as Error;
      return rate;
    },
  };
}

/** The frame with this many changes, its first one repeated: the same bytes a change. */
function resized(frame: SeenFrame, changes: number): SeenFrame {
  const delta = JSON.parse(frame.json) as { changes: unknown[] };
  const json = JSON.stringify({ ...delta, changes: Array.from({ length: changes }, () => delta.changes[0]) });
  return { json, changes };
}

/** The frame with another `to` of the same length: what tells one frame from the next. */
function renumbered(json: string, number: number): string {
  return json.replace(
    /"to":"([^"]*)"/,
    (_, to: string) => `"to":"${String(number).padStart(to.length, '0')}"`,
  );
}
