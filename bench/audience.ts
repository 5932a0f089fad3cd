import { LIMITS } from '../protocol/limits.ts';
import type { Delta, Snapshot, Subscription } from '../protocol/sync.ts';
import { findTo } from './packets.ts';
import type { RunningSide } from './start-side.ts';
import { sayHello } from './traffic.ts';
import { connectWire } from './wire-client.ts';
import type { WireClient } from './wire-client.ts';

/** A frame that subscribers were sent, parsed once for all of them. */
export interface SeenFrame {
  /** The encoded delta. */
  json: string;
  changes: number;
}

/**
 * Subscribers of one scope in one process. Each keeps to the contract (an acknowledgement after half the credits or
 * 150 ms), yet reads no more of a frame than its `to`: the generator must not be what is measured.
 */
export class Audience {
  readonly clients: readonly WireClient[];
  readonly #acknowledges: boolean;
  readonly #onDelivered: (changes: number) => void;
  readonly #unacknowledged: number[];
  readonly #last: (string | undefined)[];
  readonly #places: number[];
  readonly #timer: NodeJS.Timeout;
  #order = new Map<string, number>();
  #frames: { changes: number; reached: number }[] = [];
  /** Changes delivered, counted once for every subscriber. */
  deliveries = 0;
  /** Frames delivered, counted once for every subscriber. */
  frames = 0;
  sample: SeenFrame | undefined;

  /** `onDelivered` hears of a frame's changes when the last subscriber has the frame. */
  constructor(
    clients: readonly WireClient[],
    acknowledges: boolean,
    onDelivered: (changes: number) => void = () => undefined,
  ) {
    this.clients = clients;
    this.#acknowledges = acknowledges;
    this.#onDelivered = onDelivered;
    this.#unacknowledged = clients.map(() => 0);
    this.#last = clients.map(() => undefined);
    this.#places = clients.map(() => -1);
    clients.forEach((client, i) => (client.onFrame = (frame) => this.#take(i, frame)));
    this.#timer = setInterval(() => clients.forEach((_, i) => this.#acknowledge(i)), 150);
  }

  get broken(): number {
    return this.clients.filter((client) => client.closed).length;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const client of this.clients) client.close();
  }

  #take(i: number, frame: Buffer): void {
    const to = findTo(frame);
    if (to === undefined) {
      this.#takePage(i, frame);
      return;
    }
    const place = this.#order.get(to) ?? this.#register(to, frame);
    for (let p = (this.#places[i] ?? -1) + 1; p <= place; p += 1) this.#reach(p);
    this.#places[i] = Math.max(place, this.#places[i] ?? -1);
    this.#last[i] = to;
    const waiting = (this.#unacknowledged[i] ?? 0) + 1;
    this.#unacknowledged[i] = waiting;
    if (waiting >= LIMITS.creditFrames / 2) this.#acknowledge(i);
  }

  #register(to: string, frame: Buffer): number {
    const text = frame.toString();
    const [, delta] = JSON.parse(text.slice(text.indexOf('['))) as [string, Delta];
    if (delta.changes.length > 0) {
      const json = text.slice(text.indexOf('{'), -1);
      this.sample = { json, changes: delta.changes.length };
    }
    this.#frames.push({ changes: delta.changes.length, reached: 0 });
    this.#order.set(to, this.#frames.length - 1);
    return this.#frames.length - 1;
  }

  #reach(place: number): void {
    const frame = this.#frames[place];
    if (!frame) return;
    frame.reached += 1;
    this.deliveries += frame.changes;
    if (frame.changes > 0) this.frames += 1;
    if (frame.reached === this.clients.length && frame.changes > 0) this.#onDelivered(frame.changes);
  }

  #takePage(i: number, frame: Buffer): void {
    const text = frame.toString();
    const [event, body] = JSON.parse(text.slice(text.indexOf('['))) as [string, Snapshot];
    if (event === 'sync:snapshot') this.clients[i]?.send('sync:ack', JSON.stringify({ page: body.page }));
  }

  #acknowledge(i: number): void {
    if (!this.#acknowledges || this.#unacknowledged[i] === 0) return;
    this.#unacknowledged[i] = 0;
    const to = this.#last[i];
    if (to !== undefined && this.clients[i]?.closed === false)
      this.clients[i].send('sync:ack', JSON.stringify({ to }));
  }
}

/** Connections at a time while many are opened. */
const OPENING = 50;

/** Opens subscribers of a scope (of the bare side: members of its room). */
export async function openSubscribers(
  side: RunningSide,
  count: number,
  subscribe: readonly Subscription[],
): Promise<WireClient[]> {
  return await openWith(side, await side.issueTokens(count), subscribe);
}

/** The same for tokens that have been issued. */
export async function openWith(
  side: RunningSide,
  tokens: readonly string[],
  subscribe: readonly Subscription[],
): Promise<WireClient[]> {
  const clients: WireClient[] = [];
  for (let opened = 0; opened < tokens.length; opened += OPENING) {
    const some = tokens.slice(opened, opened + OPENING);
    clients.push(...(await Promise.all(some.map((token) => openSubscriber(side, token, subscribe)))));
  }
  return clients;
}

async function openSubscriber(
  side: RunningSide,
  token: string,
  subscribe: readonly Subscription[],
): Promise<WireClient> {
  const client = await connectWire(side.url, { token });
  if (side.name === 'gateway') await sayHello(client, subscribe);
  else await client.request('join', 'null');
  return client;
}
