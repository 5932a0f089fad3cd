import type { WireError } from '../protocol/errors.ts';
import type { PushVerdict } from '../protocol/sync.ts';
import { pushVerdict, refusal } from '../protocol/sync.ts';
import type { Backoff } from './backoff.ts';
import { refusedDelay, retryDelay } from './backoff.ts';
import { outcomeOf, toPush } from './batch.ts';
import { toError } from './emitter.ts';
import { ConnectRefused, SluiceError } from './errors.ts';
import type { QueuedBatch, Settlement, Store } from './store.ts';
import type { BatchVerdict, Clock } from './types.ts';

/** Empties the outbox: strictly in seq order, several batches in flight, each until it has its verdict. */

export interface UploaderDeps {
  store: Store;
  clock: Clock;
  random: () => number;
  backoff: Backoff;
  window: { batches: number; bytes: number };
  request(event: 'sync:push', body: unknown): Promise<unknown>;
  drop(error: Error): void;
  refreshToken(): Promise<boolean>;
  /** Takes a new incarnation and connects again. */
  renewIdentity(reason: string): Promise<void>;
  onVerdict(verdict: BatchVerdict): void;
  onError(error: Error): void;
  /** Several refusals in a row that should have passed. */
  onStalled(stall: { code: string; message: string; refusals: number }): void;
}

export interface Uploader {
  readonly inFlight: number;
  /** After the hello: everything unsettled is sent again from the front. */
  begin(): void;
  /** There is something new in the outbox. */
  wake(): void;
  /** Resolves when no verdict is being stored any more. */
  stop(): Promise<void>;
}

/** The gateway will never take these as they are: they would block the queue for ever. */
const UNSENDABLE = new Set(['invalid_message', 'invalid_request', 'invalid_json', 'payload_too_large']);

/** One or two refusals in a row are everyday. */
const TELL_AFTER = 3;

export function createUploader(deps: UploaderDeps): Uploader {
  return new OutboxUploader(deps);
}

class OutboxUploader implements Uploader {
  readonly #deps: UploaderDeps;
  #active = false;
  /** Counts rewinds: a refusal that an earlier round brought says nothing about this one. */
  #round = 0;
  /** Counts hellos. */
  #connection = 0;
  #sentUpTo = 0;
  #flight = new Set<QueuedBatch>();
  #pumping = false;
  #pumpAgain = false;
  #cancelPause: (() => void) | undefined;
  /** Refusals since the last verdict. */
  #stalls = 0;
  #verdicts: Settlement[] = [];
  #settling: Promise<void> | undefined;
  /** Batches whose seq or batchId the gateway knew otherwise, once already. */
  readonly #reused = new Set<string>();

  constructor(deps: UploaderDeps) {
    this.#deps = deps;
  }

  get inFlight(): number {
    return this.#flight.size;
  }

  begin(): void {
    this.#active = true;
    this.#connection += 1;
    this.#rewind(0);
    this.wake();
  }

  wake(): void {
    if (this.#pumping) this.#pumpAgain = true;
    else void this.#pump();
  }

  async stop(): Promise<void> {
    this.#active = false;
    this.#rewind(0);
    // Where it fails, the sender hears of it.
    await this.#settling?.catch(() => undefined);
  }

  #rewind(to: number): void {
    this.#round += 1;
    this.#sentUpTo = to;
    this.#flight = new Set();
    this.#cancelPause?.();
    this.#cancelPause = undefined;
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      do await this.#fill();
      while (this.#wasWoken());
    } catch (error) {
      if (this.#active) this.#deps.drop(toError(error));
    } finally {
      this.#pumping = false;
    }
  }

  #wasWoken(): boolean {
    const woken = this.#pumpAgain;
    this.#pumpAgain = false;
    return woken;
  }

  /** Sends until the window is full or the outbox is empty. */
  async #fill(): Promise<void> {
    const { store, window } = this.#deps;
    const room = window.batches - this.#flight.size;
    if (!this.#active || this.#cancelPause || room <= 0) return;
    const round = this.#round;
    const batches = await store.outbox({ after: this.#sentUpTo, limit: room });
    for (const batch of batches) {
      const bytes = [...this.#flight].reduce((sum, one) => sum + one.bytes, batch.bytes);
      if (round !== this.#round || (this.#flight.size > 0 && bytes > window.bytes)) return;
      this.#flight.add(batch);
      this.#sentUpTo = batch.seq;
      void this.#send(batch, round);
    }
  }

  async #send(batch: QueuedBatch, round: number): Promise<void> {
    const flight = this.#flight;
    const connection = this.#connection;
    let answer: unknown;
    try {
      answer = await this.#deps.request('sync:push', toPush(batch));
    } catch (error) {
      // No answer: the batch may be committed or not. The next hello sends it again and gets the same verdict.
      if (this.#active && round === this.#round) this.#deps.drop(toError(error));
      return;
    }
    flight.delete(batch);
    try {
      await this.#take(batch, answer, round);
      this.wake();
    } catch (error) {
      if (this.#active && connection === this.#connection) this.#deps.drop(toError(error));
    }
  }

  async #take(batch: QueuedBatch, answer: unknown, round: number): Promise<void> {
    const verdict = pushVerdict.safeParse(answer);
    if (verdict.success) {
      this.#checkSeq(batch, verdict.data);
      this.#stalls = 0;
      const outcome = outcomeOf(verdict.data.results);
      return this.#settle({ batchId: batch.batchId, outcome, verdict: verdict.data });
    }
    const refused = refusal.safeParse(answer);
    if (!refused.success) throw new SluiceError('protocol', 'the answer to sync:push does not parse');
    if (this.#active && round === this.#round) await this.#refuse(batch, refused.data.error);
  }

  #checkSeq(batch: QueuedBatch, verdict: PushVerdict): void {
    if (verdict.seq !== batch.seq || verdict.results.length !== batch.mutations.length)
      throw new SluiceError('protocol', `seq ${batch.seq} was answered with another batch's verdict`);
  }

  async #refuse(batch: QueuedBatch, error: WireError): Promise<void> {
    const { code, retryAfterMs } = error;
    if (code === 'seq_gap') return this.#closeGap(batch, error.expectedSeq);
    if (code === 'seq_reuse' && !this.#reused.has(batch.batchId)) {
      // Most likely an older copy of this store: under a new incarnation the number is free, and the batchId still
      // keeps it from taking effect twice. If it is the batchId that was used otherwise, the next answer says so.
      this.#reused.add(batch.batchId);
      return this.#startOver('seq_reuse');
    }
    if (code === 'seq_reuse' || UNSENDABLE.has(code)) return this.#quarantine(batch, error);
    if (code === 'hello_required') throw new SluiceError('protocol', error.message);
    if (error.retry === 'auth') return this.#authenticate(batch, error);
    if (error.retry === 'never') this.#deps.onError(new ConnectRefused(code, error.message));
    const refusals = this.#stalls + 1;
    if (refusals >= TELL_AFTER) this.#deps.onStalled({ code, message: error.message, refusals });
    this.#pause(batch, { slow: error.retry === 'never', advisedMs: retryAfterMs });
  }

  /** Sends from `expected` on; when that batch is gone here, only a new incarnation can start at 1 again. */
  async #closeGap(batch: QueuedBatch, expected: number | undefined): Promise<void> {
    if (expected === undefined) throw new SluiceError('protocol', 'seq_gap without expectedSeq');
    const round = this.#hold(expected - 1);
    const [first] = await this.#deps.store.outbox({ after: expected - 1, limit: 1 });
    if (round !== this.#round) return;
    if (first?.seq !== expected) return this.#startOver('batch_missing');
    this.#pause(batch, { from: expected - 1 });
  }

  async #quarantine(batch: QueuedBatch, error: WireError): Promise<void> {
    await this.#settle({ batchId: batch.batchId, outcome: 'quarantined', error });
    // Its seq was not used up: the batches behind it need new numbers.
    await this.#startOver('quarantine');
  }

  /** Under a new incarnation. Nothing is sent in between: the new numbers mean nothing to this connection. */
  async #startOver(reason: string): Promise<void> {
    const connection = this.#connection;
    this.#active = false;
    this.#rewind(0);
    try {
      await this.#deps.renewIdentity(reason);
    } catch (error) {
      // nothing can be sent on this connection any more; what was found wrong is found again on the next
      if (connection === this.#connection) this.#deps.drop(toError(error));
    }
  }

  async #authenticate(batch: QueuedBatch, error: WireError): Promise<void> {
    const round = this.#hold(batch.seq - 1);
    const taken = this.#stalls === 0 && (await this.#deps.refreshToken());
    if (round !== this.#round) return;
    if (taken) this.#pause(batch, {});
    else this.#deps.drop(new ConnectRefused(error.code, error.message));
  }

  /** Sends nothing until `#pause` or the next connection; the refusals of what is in flight no longer count. */
  #hold(from: number): number {
    this.#rewind(from);
    this.#cancelPause = () => undefined;
    return this.#round;
  }

  /** Waits and sends again from this batch on. */
  #pause(batch: QueuedBatch, how: { slow?: boolean; advisedMs?: number | undefined; from?: number }): void {
    const { backoff, random, clock } = this.#deps;
    const delay = how.slow === true ? refusedDelay : retryDelay;
    const ms = delay(backoff, random, { attempt: this.#stalls, advisedMs: how.advisedMs });
    this.#stalls += 1;
    this.#rewind(how.from ?? batch.seq - 1);
    this.#cancelPause = clock.after(ms, () => {
      this.#cancelPause = undefined;
      this.wake();
    });
  }

  /** Verdicts that arrive while others are being stored are stored together. */
  #settle(settlement: Settlement): Promise<void> {
    this.#verdicts.push(settlement);
    this.#settling ??= this.#storeVerdicts();
    return this.#settling;
  }

  async #storeVerdicts(): Promise<void> {
    await Promise.resolve();
    try {
      while (this.#verdicts.length > 0) await this.#storeRound(this.#verdicts.splice(0));
    } finally {
      // In the same step as the last look at the list, so that no verdict can slip in between.
      this.#settling = undefined;
      this.#verdicts = [];
    }
  }

  async #storeRound(round: Settlement[]): Promise<void> {
    const byId = new Map(round.map((settlement) => [settlement.batchId, settlement]));
    for (const batch of await this.#deps.store.settle(round)) {
      const settlement = byId.get(batch.batchId);
      if (settlement) this.#deps.onVerdict({ ...settlement, seq: batch.seq, batch });
    }
  }
}
