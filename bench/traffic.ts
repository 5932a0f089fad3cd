import { randomUUID } from 'node:crypto';
import type { HelloAck, PushAck, Subscription } from '../protocol/sync.ts';
import type { RunningSide } from './start-side.ts';
import { connectWire } from './wire-client.ts';
import type { WireClient } from './wire-client.ts';

/** What both sides are sent: the same records in the same messages, by clients that keep to the contract. */

export interface Writer {
  /** Pushes a batch of this many new records; resolves when it is acknowledged, throws when it is refused. */
  push(records: number): Promise<void>;
  client: WireClient;
}

/** Connects writers. They subscribe to nothing: what is measured is the way in. */
export async function openWriters(side: RunningSide, count: number, collection = 'stoku'): Promise<Writer[]> {
  const tokens = await side.issueTokens(count);
  return await Promise.all(tokens.map((token) => openWriter(side, token, collection)));
}

async function openWriter(side: RunningSide, token: string, collection: string): Promise<Writer> {
  const client = await connectWire(side.url, { token });
  if (side.name === 'gateway') await sayHello(client, []);
  const event = side.name === 'gateway' ? 'sync:push' : 'push';
  let seq = 0;
  return {
    client,
    async push(records) {
      seq += 1;
      const answer = await client.request<PushAck>(event, pushBody(seq, records, collection));
      if (!answer.ok) throw new Error(`a push was refused: ${answer.error.code}`);
    },
  };
}

/** Says hello as a new installation without a cursor. */
export async function sayHello(client: WireClient, subscribe: readonly Subscription[]): Promise<void> {
  const hello = { protocol: 1, clientId: randomUUID(), incarnation: randomUUID(), cursor: null, subscribe };
  const reply = await client.request<HelloAck>('sync:hello', JSON.stringify(hello));
  if (!reply.ok) throw new Error(`hello was refused: ${reply.error.code}`);
}

let nextRecord = Date.now();

/** A batch of new stock records of about 110 bytes each, the commonest thing a branch sends, as JSON. */
export function pushBody(seq: number, records: number, collection = 'stoku'): string {
  const mutations: string[] = [];
  for (let i = 0; i < records; i += 1) {
    const id = `b12-${(nextRecord++).toString(36)}`;
    mutations.push(
      `{"collection":"${collection}","id":"${id}","op":"put","partition":"branch-12","data":{"sku":"${id}","quantity":${i % 90},` +
        `"name":"WHITE HANGING HEART T-LIGHT HOLDER","unitPrice":"2.55","value":1}}`,
    );
  }
  return `{"seq":${seq},"batchId":"${randomUUID()}","mutations":[${mutations.join(',')}]}`;
}

/** Keeps `perWriter` pushes of `records` records in flight on each writer for `seconds`. Returns records a second. */
export async function measureRate(
  writers: readonly Writer[],
  load: { perWriter: number; records: number; seconds: number },
): Promise<number> {
  const start = performance.now();
  const end = start + load.seconds * 1_000;
  let acknowledged = 0;
  const lane = async (writer: Writer): Promise<void> => {
    while (performance.now() < end) {
      await writer.push(load.records);
      if (performance.now() <= end) acknowledged += load.records;
    }
  };
  await Promise.all(writers.flatMap((writer) => Array.from({ length: load.perWriter }, () => lane(writer))));
  return acknowledged / load.seconds;
}
