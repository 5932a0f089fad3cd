import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import type { Socket } from 'socket.io';
import { Server } from 'socket.io';
import { canonicalJson } from '../../protocol/canonical.ts';
import type {
  Change,
  Delta,
  Hello,
  HelloReply,
  Mutation,
  MutationResult,
  Push,
  PushAck,
  PushVerdict,
  Snapshot,
  SnapshotRecord,
} from '../../protocol/sync.ts';
import { hello, push, syncAck } from '../../protocol/sync.ts';

/** A scripted gateway: speaks /sync over an in-memory log, and misbehaves when told to. */

export interface Faults {
  /** Replaces an outgoing delta: none drops it, two duplicate it. */
  delta?: (frame: Delta) => Delta[];
  /** Answers instead of the gateway; 'silent': no answer; undefined: as usual. */
  push?: (body: Push) => PushAck | 'silent' | undefined;
  /** Commits, then cuts the connection instead of answering. */
  cutAfterCommit?: (body: Push) => boolean;
  /** A code: the handshake is refused with it. */
  handshake?: (token: string) => { code: string; retryAfterMs?: number } | undefined;
  hello?: (body: Hello) => Partial<HelloReply> | undefined;
  /** After so many snapshot pages the connection is cut. */
  cutAfterPages?: number;
  refresh?: (token: string) => boolean;
  /** Known bad: applies a batch as often as it comes. */
  forgetful?: boolean;
}

interface Client {
  last: number;
  results: Map<number, { hash: string; verdict: PushVerdict }>;
}

interface Subscriber {
  socket: Socket;
  cursor: number;
  unacked: number;
  credits: number;
}

export interface FakeGateway {
  url: string;
  faults: Faults;
  hellos: Hello[];
  tokens: string[];
  refreshed: string[];
  acks: unknown[];
  /** Every push as it came in. */
  pushes: Push[];
  log: Change[];
  readonly head: number;
  epoch: string;
  pageSize: number;
  credits: number;
  /** The most frames any socket had unacknowledged. */
  maxUnacked: number;
  /** Commits server-side changes as one version. */
  commit(...mutations: Mutation[]): number;
  /** Forgets the log up to and including a version. */
  trim(version: number): void;
  /** Sends to all. */
  say(event: string, body: unknown): void;
  disconnect(): void;
  readonly connected: number;
  close(): Promise<void>;
}

export async function startFakeGateway(): Promise<FakeGateway> {
  const gateway = new Fake();
  await gateway.listen();
  return gateway;
}

class Fake implements FakeGateway {
  readonly #http = createServer();
  readonly #io = new Server(this.#http, { transports: ['websocket'] });
  readonly #clients = new Map<string, Client>();
  readonly #batches = new Map<string, { hash: string; verdict: PushVerdict }>();
  readonly #records = new Map<string, SnapshotRecord>();
  readonly #subscribers = new Map<string, Subscriber>();
  readonly hellos: Hello[] = [];
  readonly tokens: string[] = [];
  readonly refreshed: string[] = [];
  readonly acks: unknown[] = [];
  readonly pushes: Push[] = [];
  faults: Faults = {};
  log: Change[] = [];
  url = '';
  epoch = 'e1';
  pageSize = 2;
  credits = 8;
  maxUnacked = 0;
  #head = 0;
  #floor = 0;

  get head(): number {
    return this.#head;
  }

  get connected(): number {
    return this.#io.of('/sync').sockets.size;
  }

  async listen(): Promise<void> {
    this.#io.of('/sync').use((socket, next) => {
      const { token = '' } = socket.handshake.auth as { token?: string };
      this.tokens.push(token);
      const data = this.faults.handshake?.(token);
      next(data && Object.assign(new Error(data.code), { data }));
    });
    this.#io.of('/sync').on('connection', (socket) => this.#serve(socket));
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#io.close();
  }

  say(event: string, body: unknown): void {
    this.#io.of('/sync').emit(event, body);
  }

  disconnect(): void {
    this.#io.of('/sync').disconnectSockets(true);
  }

  trim(version: number): void {
    this.#floor = version;
    this.log = this.log.filter((change) => change.version > version);
  }

  commit(...mutations: Mutation[]): number {
    this.#apply(mutations, {});
    for (const subscriber of this.#subscribers.values()) this.#pump(subscriber);
    return this.#head;
  }

  #serve(socket: Socket): void {
    socket.on('sync:hello', (body: unknown, ack: (reply: unknown) => void) => {
      this.#hello(socket, hello.parse(body), ack);
    });
    socket.on('sync:push', (body: unknown, ack: (reply: PushAck) => void) => {
      this.#push(socket, push.parse(body), ack);
    });
    socket.on('sync:ack', (body: unknown) => {
      this.acks.push(syncAck.parse(body));
      const subscriber = this.#subscribers.get(socket.id);
      if (!subscriber) return;
      subscriber.unacked = 0;
      this.#pump(subscriber);
    });
    socket.on('auth:refresh', ({ token }: { token: string }, ack: (reply: unknown) => void) => {
      this.refreshed.push(token);
      const error = { code: 'invalid_token', message: 'no', retry: 'auth' };
      ack(this.faults.refresh?.(token) === false ? { ok: false, error } : { ok: true, expiresAt: '' });
    });
    socket.on('disconnect', () => this.#subscribers.delete(socket.id));
  }

  #hello(socket: Socket, body: Hello, ack: (reply: HelloReply) => void): void {
    this.hellos.push(body);
    const { mode, version, page } = this.#modeOf(body);
    ack({
      ok: true,
      epoch: this.epoch,
      head: this.#head,
      lastSeq: this.#client(body).last,
      mode,
      credits: this.credits,
      serverTime: new Date().toISOString(),
      ...this.faults.hello?.(body),
    });
    socket.data = { clientId: body.clientId, incarnation: body.incarnation };
    const goesOn = mode !== 'reset' && body.cursor !== null;
    const cursor = goesOn ? version : this.#head;
    const subscriber = { socket, cursor, unacked: 0, credits: this.credits };
    if (mode !== 'resume' && !this.#sendSnapshot(socket, cursor, goesOn ? page : 0)) return;
    this.#subscribers.set(socket.id, subscriber);
    this.#pump(subscriber);
  }

  #modeOf(body: Hello): { mode: HelloReply['mode']; version: number; page: number } {
    const [epoch, version, page] = (body.cursor ?? '').split('.');
    const known = epoch === this.epoch && Number(version) >= this.#floor;
    const at = { version: Number(version), page: Number(page) };
    if (body.cursor === null) return { mode: 'snapshot', ...at };
    if (!known) return { mode: 'reset', ...at };
    return { mode: page === undefined ? 'resume' : 'snapshot', ...at };
  }

  /** Pages without credits; false when the connection was cut on the way. */
  #sendSnapshot(socket: Socket, version: number, from: number): boolean {
    const records = [...this.#records.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (let start = from, sent = 1; ; start += this.pageSize, sent += 1) {
      const end = start + this.pageSize;
      const more = end < records.length;
      const at = `${this.epoch}.${version}`;
      const page: Snapshot = { page: `${at}.${end}`, at, more, records: records.slice(start, end) };
      socket.emit('sync:snapshot', page);
      if (!more) return true;
      if (sent === this.faults.cutAfterPages) {
        delete this.faults.cutAfterPages;
        setTimeout(() => socket.disconnect(true), 30);
        return false;
      }
    }
  }

  /** One delta a version, as far as the credits go. */
  #pump(subscriber: Subscriber): void {
    while (subscriber.cursor < this.#head && subscriber.unacked < subscriber.credits) {
      const version = subscriber.cursor + 1;
      const changes = this.log.filter((change) => change.version === version);
      const [from, to] = [`${this.epoch}.${subscriber.cursor}`, `${this.epoch}.${version}`];
      const frame = { from, to, more: version < this.#head, changes };
      subscriber.cursor = version;
      subscriber.unacked += 1;
      this.maxUnacked = Math.max(this.maxUnacked, subscriber.unacked);
      for (const one of this.faults.delta?.(frame) ?? [frame]) subscriber.socket.emit('sync:delta', one);
    }
  }

  #push(socket: Socket, body: Push, ack: (reply: PushAck) => void): void {
    this.pushes.push(body);
    const scripted = this.faults.push?.(body);
    if (scripted === 'silent') return;
    if (scripted) {
      ack(scripted);
      return;
    }
    const answer = this.#run(socket.data as { clientId: string; incarnation: string }, body);
    if (this.faults.cutAfterCommit?.(body)) socket.disconnect(true);
    else ack(answer);
    for (const subscriber of this.#subscribers.values()) this.#pump(subscriber);
  }

  #run(who: { clientId: string; incarnation: string }, body: Push): PushAck {
    if (this.faults.forgetful === true) return this.#judge(body, { clientId: who.clientId, seq: body.seq });
    const client = this.#client(who);
    const hash = createHash('sha256')
      .update(canonicalJson({ ...body, seq: 0 }))
      .digest('hex');
    const stored = client.results.get(body.seq) ?? this.#batches.get(body.batchId);
    if (stored && stored.hash !== hash) return refuse('seq_reuse', {});
    if (stored && body.seq <= client.last) return { ...stored.verdict, replay: true };
    if (body.seq <= client.last) return refuse('seq_reuse', {});
    if (body.seq > client.last + 1) return refuse('seq_gap', { expectedSeq: client.last + 1 });
    client.last = body.seq;
    const verdict = stored
      ? { ...stored.verdict, seq: body.seq, replay: true }
      : this.#judge(body, { clientId: who.clientId, seq: body.seq });
    client.results.set(body.seq, { hash, verdict });
    this.#batches.set(body.batchId, { hash, verdict });
    return verdict;
  }

  #judge(body: Push, by: { clientId: string; seq: number }): PushVerdict {
    // A record whose data say so is refused, and its whole batch with it.
    const refused = body.mutations.map((mutation) => mutation.data?.['refuse'] as string | undefined);
    if (refused.some((code) => code !== undefined)) {
      const results = refused.map((code = 'batch_refused'): MutationResult =>
        code === 'field_conflict' ? { status: 'conflict', code } : { status: 'rejected', code },
      );
      return { ok: true, seq: body.seq, version: null, results };
    }
    const version = this.#apply(body.mutations, by);
    return {
      ok: true,
      seq: body.seq,
      version,
      results: body.mutations.map(() => ({ status: 'applied', version })),
    };
  }

  #apply(mutations: readonly Mutation[], by: { clientId?: string; seq?: number }): number {
    const version = (this.#head += 1);
    for (const [index, { collection, id, op, partition = 'p', data = {} }] of mutations.entries()) {
      const key = `${collection}/${id}`;
      const put = op !== 'delete';
      if (put) this.#records.set(key, { collection, id, partition, data, recordVersion: version });
      else this.#records.delete(key);
      this.log.push({
        ...{
          version,
          index,
          collection,
          id,
          partition,
          recordVersion: version,
          at: new Date().toISOString(),
        },
        ...(put ? { op: 'put', data } : { op: 'delete' }),
        by: { principal: 'test', ...by },
      });
    }
    return version;
  }

  #client({ clientId, incarnation }: { clientId: string; incarnation: string }): Client {
    const key = `${clientId} ${incarnation}`;
    const client = this.#clients.get(key) ?? { last: 0, results: new Map() };
    this.#clients.set(key, client);
    return client;
  }
}

export function refuse(
  code: string,
  details: { expectedSeq?: number; retryAfterMs?: number; retry?: 'never' | 'later' | 'auth' },
): PushAck {
  return { ok: false, error: { code, message: code, retry: 'never', ...details } };
}
