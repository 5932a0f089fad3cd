import { Redis } from 'ioredis';
import pg from 'pg';
import type { Logger } from './log.ts';

/**
 * Hints between nodes: "tenant 7 has moved", "session … was revoked". A hint may be lost, doubled or late; polls of the
 * database bound the staleness, so nothing but latency depends on this bus (DESIGN 7, P8).
 */
export interface Hints {
  /** Tells the other nodes; never throws and never waits. */
  publish(topic: HintTopic, body: string): void;
  /** Hears what other nodes publish (and, harmlessly, one's own). Returns how to stop. */
  subscribe(topic: HintTopic, listener: (body: string) => void): () => void;
  close(): Promise<void>;
}

export type HintTopic = 'version' | 'revoked' | 'presence' | 'rooms' | 'typing' | 'device';

/** Each topic's bodies waiting for the next flush: at most 200 flushes a second, doubles dropped. */
const FLUSH_MS = 5;
const CHANNEL = 'sluice_hints';
/** PostgreSQL refuses a NOTIFY payload of 8,000 bytes. */
const MAX_NOTIFY_BYTES = 7_800;
/** How often a node looks whether it is the only one; a second node is told nothing for so long at the most. */
const LOOK_AROUND_MS = 2_000;
const SESSION_NAME = 'sluice-hints';
const LISTENERS = `SELECT count(*) AS sessions FROM pg_stat_activity
  WHERE application_name = '${SESSION_NAME}' AND datname = current_database()`;

/** Starts the bus: Redis pub/sub when `redisUrl` is given, else coalesced LISTEN/NOTIFY on the database. */
export async function startHints(options: {
  databaseUrl: string;
  redisUrl?: string | undefined;
  log: Logger;
}): Promise<Hints> {
  const listeners = new Map<HintTopic, Set<(body: string) => void>>();
  const deliver = (payload: string): void => {
    for (const [topic, body] of parsePayload(payload))
      for (const listener of listeners.get(topic) ?? []) {
        try {
          listener(body);
        } catch (error) {
          // whoever may write to the bus can write nonsense: another version of a node does, and it must not end this one
          options.log.warn({ err: error, topic }, 'a hint that is not understood');
        }
      }
  };
  const wire =
    options.redisUrl === undefined
      ? await startNotify(options.databaseUrl, deliver, options.log)
      : await startRedis(options.redisUrl, deliver, options.log);
  const pending = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    timer = undefined;
    const entries = [...pending];
    pending.clear();
    for (const payload of packPayloads(entries)) wire.send(payload);
  };
  return {
    publish(topic, body) {
      // where nobody listens nobody is told of each group: a NOTIFY costs a commit of its own, and the polls find the rest
      if (topic === 'version' && wire.isAlone()) return;
      pending.add(JSON.stringify([topic, body]));
      timer ??= setTimeout(flush, FLUSH_MS);
    },
    subscribe(topic, listener) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(listener));
      return () => set.delete(listener);
    },
    async close() {
      clearTimeout(timer);
      if (pending.size > 0) flush();
      await wire.close();
    },
  };
}

/** A bus for one process alone, and for tests: what is published is delivered in the next turn. */
export function createLocalHints(): Hints {
  const listeners = new Map<HintTopic, Set<(body: string) => void>>();
  return {
    publish: (topic, body) =>
      void setImmediate(() => listeners.get(topic)?.forEach((listener) => listener(body))),
    subscribe(topic, listener) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(listener));
      return () => set.delete(listener);
    },
    close: () => Promise.resolve(),
  };
}

interface Wire {
  /** No other node was seen the last time it looked. */
  isAlone(): boolean;
  send(payload: string): void;
  close(): Promise<void>;
}

/** One unpooled session that listens and notifies; it reconnects by itself, and what was lost meanwhile the polls find. */
async function startNotify(url: string, deliver: (payload: string) => void, log: Logger): Promise<Wire> {
  let client: pg.Client | undefined;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;
  let sending: Promise<unknown> = Promise.resolve();
  let isAlone = false;
  // one at a time: the session takes no second statement while one is under way
  const inTurn = (work: (session: pg.Client) => Promise<unknown>): void => {
    sending = sending.then(() => (client ? work(client) : undefined)).catch(() => undefined);
  };
  const lookAround = (): void =>
    inTurn(async (session) => {
      const { rows } = await session.query<{ sessions: number }>(LISTENERS);
      isAlone = (rows[0]?.sessions ?? 2) <= 1;
    });
  const watch = setInterval(lookAround, LOOK_AROUND_MS);
  const connect = async (): Promise<void> => {
    const next = new pg.Client({ connectionString: url, application_name: SESSION_NAME, keepAlive: true });
    next.on('error', (error) => log.warn({ err: error.message }, 'hint session lost'));
    next.on('end', () => {
      if (client === next) client = undefined;
      if (!closed) retry = setTimeout(() => void connect().catch(() => undefined), 500);
    });
    next.on('notification', (message) => deliver(message.payload ?? ''));
    await next.connect();
    await next.query(`LISTEN ${CHANNEL}`);
    client = next;
  };
  await connect();
  return {
    isAlone: () => isAlone,
    send(payload) {
      inTurn((session) => session.query('SELECT pg_notify($1, $2)', [CHANNEL, payload]));
    },
    async close() {
      closed = true;
      clearInterval(watch);
      clearTimeout(retry);
      await sending;
      await client?.end();
    },
  };
}

async function startRedis(url: string, deliver: (payload: string) => void, log: Logger): Promise<Wire> {
  const options = {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => 500,
  };
  const publisher = new Redis(url, options);
  const subscriber = new Redis(url, { ...options, autoResubscribe: true });
  for (const redis of [publisher, subscriber]) {
    redis.on('error', (error: Error) => log.warn({ err: error.message }, 'hint bus: redis is not reachable'));
  }
  subscriber.on('message', (_channel: string, payload: string) => deliver(payload));
  // an absent Redis must not keep the gateway from starting: the polls carry it until Redis is back
  subscriber.on('ready', () => void subscriber.subscribe(CHANNEL).catch(() => undefined));
  await Promise.all([
    publisher.connect().catch(() => undefined),
    subscriber.connect().catch(() => undefined),
  ]);
  return {
    isAlone: () => false,
    send: (payload) => void publisher.publish(CHANNEL, payload).catch(() => undefined),
    close() {
      publisher.disconnect();
      subscriber.disconnect();
      return Promise.resolve();
    },
  };
}

function packPayloads(entries: string[]): string[] {
  const payloads: string[] = [];
  let current: string[] = [];
  let size = 2;
  for (const entry of entries) {
    const bytes = Buffer.byteLength(entry) + 1;
    if (size + bytes > MAX_NOTIFY_BYTES && current.length > 0) {
      payloads.push(`[${current.join(',')}]`);
      [current, size] = [[], 2];
    }
    if (bytes + 2 <= MAX_NOTIFY_BYTES) {
      current.push(entry);
      size += bytes;
    }
  }
  if (current.length > 0) payloads.push(`[${current.join(',')}]`);
  return payloads;
}

function parsePayload(payload: string): [HintTopic, string][] {
  try {
    const entries: unknown = JSON.parse(payload);
    return Array.isArray(entries) ? (entries as unknown[]).filter(isHint) : [];
  } catch {
    return [];
  }
}

/** Anybody who may NOTIFY can write to the channel. */
function isHint(entry: unknown): entry is [HintTopic, string] {
  return Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'string';
}
