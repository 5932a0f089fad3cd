import type { Delta, Snapshot, SyncAck } from '../protocol/sync.ts';
import { delta, reset, snapshot } from '../protocol/sync.ts';
import { toError } from './emitter.ts';
import { SluiceError } from './errors.ts';
import type { LinkEvent } from './state.ts';
import type { Store } from './store.ts';
import type { Clock, SyncEvents } from './types.ts';

/** Stores what comes down, one frame after the other, and acknowledges what is stored. */

export interface DownloaderDeps {
  store: Store;
  clock: Clock;
  send(event: 'sync:ack', body: SyncAck): void;
  drop(error: Error): void;
  note(event: Extract<LinkEvent, { type: 'page' | 'reset' | 'advanced' }>): void;
  emit<E extends 'changes' | 'snapshot' | 'reset'>(event: E, body: SyncEvents[E]): void;
  /** Whether a delta continues the replica. Replaced only by tests that must see it fail. */
  continues?: (cursor: string | null, frame: Delta) => boolean;
}

export interface DownloadStart {
  cursor: string | null;
  /** Canonical subscription, for a replica emptied on the way. */
  scope: string;
  credits: number;
}

export interface Downloader {
  /** After the hello; frames that came in before are taken first. */
  begin(start: DownloadStart): void;
  offer(event: string, body: unknown): boolean;
  /** Forgets what was not stored yet; resolves when nothing is being stored any more. */
  stop(): Promise<void>;
}

/** Half the 200 ms that the protocol allows, so that an acknowledgement is never late for the wire's delay. */
const ACK_DELAY_MS = 100;

export function createDownloader(deps: DownloaderDeps): Downloader {
  return new FrameDownloader(deps);
}

class FrameDownloader implements Downloader {
  readonly #deps: DownloaderDeps;
  readonly #continues: (cursor: string | null, frame: Delta) => boolean;
  #queue: { event: string; body: unknown }[] = [];
  #start: DownloadStart | undefined;
  #cursor: string | null = null;
  #received = 0;
  #running: Promise<void> | undefined;
  #pendingAck: SyncAck | undefined;
  #unacked = 0;
  #cancelAck: () => void = () => undefined;

  constructor(deps: DownloaderDeps) {
    this.#deps = deps;
    this.#continues = deps.continues ?? ((cursor, frame) => frame.from === cursor);
  }

  begin(start: DownloadStart): void {
    this.#start = start;
    this.#cursor = start.cursor;
    this.#received = 0;
    this.#kick();
  }

  offer(event: string, body: unknown): boolean {
    if (event !== 'sync:delta' && event !== 'sync:snapshot' && event !== 'sync:reset') return false;
    this.#queue.push({ event, body });
    this.#kick();
    return true;
  }

  async stop(): Promise<void> {
    this.#halt();
    await this.#running;
  }

  #halt(): void {
    this.#start = undefined;
    this.#queue = [];
    this.#pendingAck = undefined;
    this.#unacked = 0;
    this.#cancelAck();
  }

  #kick(): void {
    if (this.#start && !this.#running && this.#queue.length > 0)
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        this.#kick();
      });
  }

  async #run(): Promise<void> {
    for (let start = this.#start; start; start = this.#start) {
      const frame = this.#queue.shift();
      if (!frame) return;
      try {
        await this.#take(frame.event, frame.body, start);
      } catch (error) {
        if (this.#start !== start) return;
        this.#halt();
        this.#deps.drop(toError(error));
      }
    }
  }

  #take(event: string, body: unknown, start: DownloadStart): Promise<void> {
    if (event === 'sync:delta') return this.#takeDelta(parse(delta, event, body), start);
    if (event === 'sync:snapshot') return this.#takePage(parse(snapshot, event, body), start);
    return this.#takeReset(parse(reset, event, body).reason, start);
  }

  async #takeDelta(frame: Delta, start: DownloadStart): Promise<void> {
    // A duplicate or a gap: nothing of it is applied; the resume after the next hello brings what is missing.
    if (!this.#continues(this.#cursor, frame))
      throw new SluiceError(
        'protocol',
        `a frame starts at ${frame.from}, not at ${this.#cursor ?? 'nothing'}`,
      );
    const { from, to, more } = frame;
    const changes = await this.#deps.store.applyDelta({ from, to, changes: frame.changes });
    if (this.#start === start) {
      this.#cursor = to;
      this.#ack({ to }, more);
      const last = frame.changes.at(-1);
      if (last) this.#deps.note({ type: 'advanced', head: last.version });
    }
    this.#deps.emit('changes', { from, to, more, changes });
  }

  async #takePage(frame: Snapshot, start: DownloadStart): Promise<void> {
    if (this.#cursor !== null) throw new SluiceError('protocol', 'a snapshot page came after the snapshot');
    await this.#deps.store.applySnapshot(frame);
    const { page, at, more, records } = frame;
    this.#received += records.length;
    const received = this.#received;
    if (this.#start === start) {
      this.#cursor = more ? null : at;
      this.#ack({ page }, more);
      if (!more) this.#flushAck();
      this.#deps.note({ type: 'page', records: records.length, more });
    }
    this.#deps.emit('snapshot', { page, at, more, records, received });
  }

  async #takeReset(reason: string, start: DownloadStart): Promise<void> {
    await this.#deps.store.discardReplica(start.scope);
    this.#cursor = null;
    this.#received = 0;
    this.#deps.note({ type: 'reset' });
    this.#deps.emit('reset', { reason });
  }

  /** Cumulative: at the latest after half the credits or 200 ms; at once when the gateway has more to send. */
  #ack(ack: SyncAck, more: boolean): void {
    this.#pendingAck = ack;
    this.#unacked += 1;
    const half = Math.max(1, Math.floor((this.#start?.credits ?? 1) / 2));
    if (this.#unacked >= half || (more && this.#queue.length === 0)) this.#flushAck();
    else if (this.#unacked === 1)
      this.#cancelAck = this.#deps.clock.after(ACK_DELAY_MS, () => this.#flushAck());
  }

  #flushAck(): void {
    this.#cancelAck();
    const ack = this.#pendingAck;
    this.#pendingAck = undefined;
    this.#unacked = 0;
    if (ack) this.#deps.send('sync:ack', ack);
  }
}

interface Schema<T> {
  safeParse(body: unknown): { success: true; data: T } | { success: false };
}

function parse<T>(schema: Schema<T>, event: string, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new SluiceError('protocol', `${event} does not parse`);
  return parsed.data;
}
