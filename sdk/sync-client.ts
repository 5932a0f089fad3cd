import { v7 as uuidv7 } from 'uuid';
import { canonicalJson } from '../protocol/canonical.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { HelloReply, Mutation, PushVerdict, Subscription } from '../protocol/sync.ts';
import { helloReply, refusal } from '../protocol/sync.ts';
import { PROTOCOL_VERSION, SLUICE_VERSION } from '../protocol/version.ts';
import { DEFAULT_BACKOFF } from './backoff.ts';
import { systemClock } from './clock.ts';
import type { Downloader, DownloadStart } from './downloader.ts';
import { createDownloader } from './downloader.ts';
import type { Emitter } from './emitter.ts';
import { createEmitter, toError } from './emitter.ts';
import { ConnectRefused, SluiceError } from './errors.ts';
import type { Link, Welcome } from './link.ts';
import { createLink } from './link.ts';
import type { Deferred } from './deferred.ts';
import { ignorable } from './deferred.ts';
import type { Position } from './store.ts';
import type {
  BatchVerdict,
  Channel,
  PushedBatch,
  SyncClient,
  SyncClientOptions,
  SyncEvents,
  SyncState,
  SyncStats,
  Unlisten,
} from './types.ts';
import type { Uploader } from './uploader.ts';
import { createUploader } from './uploader.ts';

const WINDOW = { batches: 16, bytes: 512 * 1024 };
const DEFAULT_TIMEOUT_MS = 15_000;

/**
 * The engine: an outbox that empties itself and a replica that fills itself, whenever there is a connection.
 * docs/SDK.md shows its use, docs/PROTOCOL.md has the rules it follows.
 */
export function createSyncClient(options: SyncClientOptions): SyncClient {
  return new StoreSyncClient(options);
}

/** Canonical form of a subscription: a replica filled for another one cannot be resumed. */
export function scopeOf(subscribe: readonly Subscription[]): string {
  const sorted = subscribe
    .map(({ collection, partitions }) => ({
      collection,
      ...(partitions === undefined ? {} : { partitions: [...partitions].sort() }),
    }))
    .sort((a, b) => (a.collection < b.collection ? -1 : 1));
  return canonicalJson(sorted);
}

class StoreSyncClient implements SyncClient {
  readonly #options: SyncClientOptions;
  readonly #events: Emitter<SyncEvents>;
  readonly #link: Link;
  readonly #uploader: Uploader;
  readonly #downloader: Downloader;
  readonly #waiters = new Map<string, Deferred<PushVerdict>>();
  #nextVerdict = ignorable<undefined>();
  readonly #counts = { applied: 0, refused: 0, changes: 0, connects: 0 };
  #subscribe: Subscription[];
  #head: number | null = null;
  /** What is to be told of the inbox, if not what the store has. */
  #inbox: number | undefined;
  #start: DownloadStart | undefined;
  #unlisten: Unlisten = () => undefined;

  constructor(options: SyncClientOptions) {
    this.#options = options;
    this.#subscribe = [...options.subscribe];
    this.#events = createEmitter((error) => this.#events.emit('error', error));
    this.#link = this.#createLink();
    this.#uploader = this.#createUploader();
    this.#downloader = this.#createDownloader();
  }

  get state(): SyncState {
    return this.#link.state;
  }

  get replica(): SyncClientOptions['store'] {
    return this.#options.store;
  }

  on<E extends keyof SyncEvents>(event: E, listener: (body: SyncEvents[E]) => void): Unlisten {
    return this.#events.on(event, listener);
  }

  async start(): Promise<void> {
    await this.#options.store.open();
    this.#unlisten();
    this.#unlisten = this.#options.store.onEnqueued(() => this.#uploader.wake());
    this.#link.start();
  }

  readonly retryNow = (): void => this.#link.retryNow();

  async close({ closeStore = true }: { closeStore?: boolean } = {}): Promise<void> {
    this.#link.close();
    this.#unlisten();
    await Promise.allSettled([this.#uploader.stop(), this.#downloader.stop()]);
    for (const waiter of [...this.#waiters.values(), this.#nextVerdict]) waiter.reject(closedError());
    this.#waiters.clear();
    if (closeStore) await this.#options.store.close();
  }

  async push(
    mutations: readonly Mutation[],
    options: { atomic?: boolean; dependsOn?: readonly string[]; batchId?: string } = {},
  ): Promise<PushedBatch> {
    // Listened for before it is stored: the verdict may be here before the caller is.
    const batchId = options.batchId ?? uuidv7();
    const known = this.#waiters.get(batchId)?.promise;
    const settled = known ?? this.#expect(batchId);
    try {
      const { seq } = await this.#options.store.enqueue({ ...options, mutations, batchId });
      return { seq, batchId, settled };
    } catch (error) {
      if (!known) this.#waiters.delete(batchId);
      throw error;
    }
  }

  subscribe(subscription: Subscription): Promise<void> {
    const others = this.#subscribe.filter((one) => one.collection !== subscription.collection);
    this.#resubscribe([...others, subscription]);
    return Promise.resolve();
  }

  unsubscribe(collection: string): Promise<void> {
    this.#resubscribe(this.#subscribe.filter((one) => one.collection !== collection));
    return Promise.resolve();
  }

  async stats(): Promise<SyncStats> {
    const { store } = this.#options;
    const [queue, inbox, position] = await Promise.all([
      store.outboxCount(),
      store.inboxCount(),
      store.position(),
    ]);
    const { cursor } = position;
    return { queue, inbox, cursor, head: this.#head, inFlight: this.#uploader.inFlight, ...this.#counts };
  }

  report({ inbox }: { inbox: number }): void {
    if (inbox === this.#inbox) return;
    this.#inbox = inbox;
    if (this.state.name === 'live') this.#link.send('sync:report', { inbox });
  }

  async drained(): Promise<void> {
    if (this.state.name === 'closed') throw closedError();
    for (;;) {
      // Asked for before the count: a verdict in between is not missed.
      const next = this.#nextVerdict.promise;
      if ((await this.#options.store.outboxCount()) === 0) return;
      await next;
    }
  }

  #expect(batchId: string): Promise<PushVerdict> {
    const waiter = ignorable<PushVerdict>();
    if (this.state.name === 'closed') waiter.reject(closedError());
    else this.#waiters.set(batchId, waiter);
    return waiter.promise;
  }

  #resubscribe(subscribe: Subscription[]): void {
    const changed = scopeOf(subscribe) !== scopeOf(this.#subscribe);
    this.#subscribe = subscribe;
    // A cursor does not say for which subscription it was: say hello again, and be sent a snapshot.
    if (changed) this.#link.drop(new SluiceError('protocol', 'subscription changed'), { retryInMs: 0 });
  }

  /** The hello: settles who we are, where the replica stands and how it goes on from there. */
  async #welcome(channel: Channel): Promise<Welcome> {
    const { store } = this.#options;
    // What the last connection brought may still be on its way to the disk.
    await Promise.all([this.#uploader.stop(), this.#downloader.stop()]);
    const scope = scopeOf(this.#subscribe);
    const before = await store.position();
    if (before.scope !== scope) await this.#discard(scope, before, 'subscription changed');
    const position = await store.position();
    const identity = await store.identity();
    const reply = await this.#hello(channel, position);
    if (reply.lastSeq >= identity.nextSeq) {
      // The gateway has more of us than we have given out: this store is an older copy of itself.
      await this.#renew('store_rolled_back');
      throw new SluiceError('protocol', 'the store is an older copy: it has taken a new incarnation');
    }
    const cursor = await this.#settlePosition(reply, position, scope);
    this.#head = reply.head;
    this.#start = { cursor, scope, credits: reply.credits };
    return { snapshot: reply.mode !== 'resume', head: reply.head, serverTime: reply.serverTime };
  }

  async #hello(channel: Channel, position: Position): Promise<HelloReply> {
    const { store, app, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const { batchMutations = LIMITS.batchMutationsMax } = this.#options;
    const { clientId, incarnation } = await store.identity();
    const answer = await channel.request(
      'sync:hello',
      {
        protocol: PROTOCOL_VERSION,
        clientId,
        incarnation,
        cursor: position.page ?? position.cursor,
        subscribe: this.#subscribe,
        limits: { batchMutations },
        app: {
          name: 'sluice-sdk',
          version: SLUICE_VERSION,
          ...app,
          queue: await store.outboxCount(),
          inbox: this.#inbox ?? (await store.inboxCount()),
        },
      },
      timeoutMs,
    );
    const reply = helloReply.safeParse(answer);
    if (reply.success) return reply.data;
    const refused = refusal.safeParse(answer);
    if (!refused.success) throw new SluiceError('protocol', 'the answer to sync:hello does not parse');
    const { code, message, retryAfterMs } = refused.data.error;
    if (code === 'client_mismatch') {
      // New credentials, or another person: what waits is sent on in a life of its own
      await this.#renew('client_mismatch', { newClient: true });
      throw new SluiceError('protocol', 'the clientId belongs to another principal: taken a new one');
    }
    throw new ConnectRefused(code, message, { retryAfterMs, advice: refused.data.error.retry });
  }

  /** The cursor to go on from; null while a snapshot is under way. */
  async #settlePosition(reply: HelloReply, position: Position, scope: string): Promise<string | null> {
    if (reply.mode === 'resume' && position.page === null) return position.cursor;
    // A page token answered with `snapshot` goes on after that page: what is stored stays.
    const goesOn = reply.mode === 'snapshot' && position.page !== null;
    if (!goesOn) await this.#discard(scope, position, reply.mode === 'reset' ? 'reset' : 'snapshot');
    if (reply.mode === 'resume')
      throw new SluiceError('protocol', 'a snapshot under way cannot be resumed as a log');
    return null;
  }

  async #discard(scope: string, { cursor, page }: Position, reason: string): Promise<void> {
    await this.#options.store.discardReplica(scope);
    if (cursor !== null || page !== null) this.#events.emit('reset', { reason });
  }

  async #renew(reason: string, options?: { newClient: boolean }): Promise<void> {
    const { clientId, incarnation } = await this.#options.store.renewIncarnation(options);
    this.#events.emit('identity', { clientId, incarnation, reason });
  }

  #finish(verdict: BatchVerdict): void {
    const { batchId, outcome, error } = verdict;
    this.#counts[outcome === 'applied' ? 'applied' : 'refused'] += 1;
    const waiter = this.#waiters.get(batchId);
    this.#waiters.delete(batchId);
    if (verdict.verdict) waiter?.resolve(verdict.verdict);
    else
      waiter?.reject(new SluiceError('quarantined', `${error?.code ?? 'refused'}: ${error?.message ?? ''}`));
    this.#events.emit('verdict', verdict);
    const told = this.#nextVerdict;
    this.#nextVerdict = ignorable();
    told.resolve(undefined);
  }

  #hear(event: string, body: unknown): void {
    if (this.#downloader.offer(event, body)) return;
    if (event === 'sync:closing') this.#events.emit('closing', body as SyncEvents['closing']);
    else if (event === 'auth:revoked') this.#events.emit('revoked', body as SyncEvents['revoked']);
    else if (event !== 'auth:expiring') this.#events.emit('message', { event, body });
  }

  #createLink(): Link {
    return createLink({
      ...this.#options,
      namespace: '/sync',
      welcome: (channel) => this.#welcome(channel),
      onWelcomed: () => {
        this.#counts.connects += 1;
        if (this.#start) this.#downloader.begin(this.#start);
        this.#uploader.begin();
      },
      onMessage: (event, body) => this.#hear(event, body),
      onLost: () => {
        void this.#uploader.stop();
        void this.#downloader.stop();
      },
      onState: (state) => this.#events.emit('state', state),
      onError: (error) => this.#events.emit('error', error),
    });
  }

  #createUploader(): Uploader {
    const { store, clock = systemClock, random = Math.random, backoff, window } = this.#options;
    return createUploader({
      store,
      clock,
      random,
      backoff: { ...DEFAULT_BACKOFF, ...backoff },
      window: { ...WINDOW, ...window },
      request: (event, body) => this.#link.request(event, body),
      drop: (error) => this.#drop(error),
      refreshToken: () => this.#link.refreshToken(),
      renewIdentity: async (reason) => {
        await this.#renew(reason);
        this.#link.drop(new SluiceError('protocol', `new incarnation: ${reason}`));
      },
      onVerdict: (verdict) => this.#finish(verdict),
      onStalled: (stall) => this.#events.emit('stalled', stall),
      onError: (error) => this.#events.emit('error', error),
    });
  }

  #createDownloader(): Downloader {
    const { store, clock = systemClock } = this.#options;
    return createDownloader({
      store,
      clock,
      send: (event, body) => this.#link.send(event, body),
      drop: (error) => this.#drop(error),
      note: (event) => {
        if (event.type === 'advanced') this.#head = Math.max(this.#head ?? 0, event.head);
        this.#link.note(event);
      },
      emit: (event, body) => {
        if (event === 'changes') this.#counts.changes += (body as SyncEvents['changes']).changes.length;
        this.#events.emit(event, body);
      },
    });
  }

  #drop(error: Error): void {
    this.#events.emit('error', toError(error));
    this.#link.drop(error);
  }
}

function closedError(): SluiceError {
  return new SluiceError('closed', 'the client is closed; what has no verdict is still in the outbox');
}
