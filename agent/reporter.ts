import type { SyncState } from '../sdk/types.ts';
import { heldReason, OLDER_HELD } from './claim.ts';
import type { Log } from './log.ts';
import { RESEND_FAILING } from './resend.ts';
import type { Session } from './session.ts';
import { offenderOf } from './offender.ts';
import type { AgentStatus } from './status.ts';
import { versionOf, writeStatus } from './status.ts';

/** Keeps the status file and the log lines of a running agent. */
export interface Reporter {
  /** Listens to a session until it is closed. */
  follow(session: Session): void;
  /** Notes what the store says, before it is closed. */
  keep(): Promise<void>;
  /** Between sessions: why there is none. */
  wait(state: string): void;
  fault(event: string, error: unknown): void;
  /** Writes the status file when something has changed, or to show that it is alive. */
  tick(): Promise<void>;
  status(): Promise<AgentStatus>;
}

export interface ReporterDeps {
  database: string;
  log: Log;
  now: () => Date;
}

/** The gateway takes nothing, for a reason that should pass. */
const PUSH_FAILING = 'push_failing';
const HEARTBEAT_MS = 5_000;
/** A fault that stays is not logged again before this. */
const REPEAT_MS = 60_000;
/** What takes longer is told when it is done. */
const BACKLOG_MS = 30_000;

export function createReporter(deps: ReporterDeps): Reporter {
  return new FileReporter(deps);
}

class FileReporter implements Reporter {
  readonly #deps: ReporterDeps;
  readonly #startedAt: string;
  readonly #counts = { applied: 0, refused: 0 };
  readonly #faults = new Map<string, number>();
  #session: Session | undefined;
  #kept: StoreStatus | undefined;
  #waiting = 'starting';
  #lastPushAt: string | null = null;
  #lastError: string | null = null;
  #written = '';
  #writtenAt = 0;
  /** Since when something is left to do; 0: since it was not connected, or older rows were queued. */
  #busySince = 0;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#startedAt = deps.now().toISOString();
  }

  follow(session: Session): void {
    const { log, now } = this.#deps;
    this.#session = session;
    session.client.on('state', (state) => this.#tellState(state));
    session.client.on('verdict', ({ outcome, batch, verdict, error }) => {
      this.#lastPushAt = now().toISOString();
      if (this.#lastError?.startsWith(PUSH_FAILING)) this.#lastError = null;
      const harmless = session.drain.targets.isHarmless(batch.batchId);
      const offender = offenderOf(batch, verdict);
      const details = { batchId: batch.batchId, outcome, code: error?.code, ...offender };
      const as = session.resender.findSuccessor(batch.batchId);
      if (as !== undefined) {
        log.warn('batch_sent_again', { ...details, as });
        return;
      }
      this.#counts[outcome === 'applied' || harmless ? 'applied' : 'refused'] += 1;
      if (outcome !== 'applied' && !harmless) log.warn('batch_refused', details);
    });
    session.client.on('stalled', ({ code, message }) => {
      this.fault(PUSH_FAILING, new Error(`${code}: ${message}`));
    });
    session.client.on('identity', ({ reason }) => log.warn('new_incarnation', { reason }));
    session.client.on('reset', ({ reason }) => log.warn('replica_reset', { reason }));
    session.client.on('revoked', ({ code }) => log.error('revoked', { code }));
    session.client.on('error', (error) => this.fault('sync_fault', error));
  }

  async keep(): Promise<void> {
    if (this.#session) this.#kept = await this.#storeOf(this.#session);
  }

  wait(state: string): void {
    const { log, database } = this.#deps;
    if (this.#waiting !== state) log[state === 'stopped' ? 'info' : 'warn'](state, { database });
    this.#session = undefined;
    this.#waiting = state;
    // Of a file that is gone or replaced nothing is known.
    if (state !== 'stopped') this.#kept = undefined;
  }

  fault(event: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#lastError = `${event}: ${message}`;
    const at = this.#deps.now().getTime();
    const key = `${event} ${message}`;
    if (at - (this.#faults.get(key) ?? -REPEAT_MS) < REPEAT_MS) return;
    if (this.#faults.size > 100) this.#faults.clear();
    this.#faults.set(key, at);
    this.#deps.log.warn(event, { message });
  }

  async tick(): Promise<void> {
    const status = await this.status();
    this.#tellIdle(status);
    const { updatedAt: _, ...rest } = status;
    const text = JSON.stringify(rest);
    const at = this.#deps.now().getTime();
    if (text === this.#written && at - this.#writtenAt < HEARTBEAT_MS) return;
    try {
      writeStatus(this.#deps.database, status);
    } catch (error) {
      this.fault('status_not_written', error);
    }
    this.#written = text;
    this.#writtenAt = at;
  }

  async status(): Promise<AgentStatus> {
    const session = this.#session;
    if (session) this.#forgetMended(session);
    const base = {
      pid: process.pid,
      startedAt: this.#startedAt,
      updatedAt: this.#deps.now().toISOString(),
      ...this.#counts,
      lastPushAt: this.#lastPushAt,
      lastError: this.#lastError ?? heldIn(session),
    };
    if (!session) return { ...base, ...(this.#kept ?? NOTHING), connected: false, state: this.#waiting };
    const { name: state } = session.client.state;
    const connected = state === 'live' || state === 'snapshot';
    const known = await this.#storeOf(session);
    session.client.report({ inbox: known.inbox.gateway + known.inbox.local });
    return { ...base, state, connected, ...known };
  }

  #forgetMended({ resender, backfill }: Session): void {
    const isOver = { [RESEND_FAILING]: resender.failing === 0, [OLDER_HELD]: !backfill.isHeld() };
    for (const [event, over] of Object.entries(isOver))
      if (over && this.#lastError?.startsWith(event)) this.#lastError = null;
  }

  async #storeOf({ client, store, ledger, backfill }: Session): Promise<StoreStatus> {
    const { queue, inbox, cursor, head } = await client.stats();
    const older = backfill.state();
    const { incarnation } = await store.identity();
    const version = versionOf(cursor);
    return {
      captured: ledger.capturedCount(),
      queue,
      backfill: older ? { done: older.done, total: older.total } : null,
      inbox: { gateway: inbox, local: ledger.refusedCount() },
      version,
      head: head === null ? version : Math.max(head, version ?? 0),
      cursor,
      identity: incarnation,
    };
  }

  #tellState(state: SyncState): void {
    const { log } = this.#deps;
    if (state.name === 'live' && state.attempt >= 0) this.#tellOnce('live', { head: state.head });
    else if (state.name === 'offline') {
      this.#lastError = `offline: ${state.lastError ?? 'no connection'}`;
      log.warn('offline', { retryInMs: Math.round(state.retryInMs), reason: state.lastError });
    } else if (state.name === 'refused') {
      const { code, message, retryInMs } = state;
      this.#lastError = `refused: ${code}${message === undefined ? '' : ` (${message})`}`;
      log.error('refused', { code, message, retryInMs: Math.round(retryInMs) });
    }
    if (state.name !== 'live') this.#told = state.name;
  }

  #told = '';

  #tellOnce(name: string, details: Record<string, unknown>): void {
    if (this.#told === name) return;
    this.#told = name;
    this.#lastError = null;
    this.#deps.log.info(name, details);
  }

  #tellIdle({ connected, captured, queue, backfill, version, head }: AgentStatus): void {
    const at = this.#deps.now().getTime();
    if (!connected || backfill !== null) this.#busySince = 0;
    const isIdle = connected && captured === 0 && queue === 0 && backfill === null && version === head;
    // a sale makes it busy for a moment: that is no news
    if (isIdle && at - this.#busySince >= BACKLOG_MS)
      this.#deps.log.info('idle', { version, ...this.#counts });
    if (isIdle) this.#busySince = Infinity;
    else this.#busySince = Math.min(this.#busySince, at);
  }
}

function heldIn(session: Session | undefined): string | null {
  const reason = session?.backfill.isHeld() ? heldReason(session.ledger) : undefined;
  return reason === undefined ? null : `${OLDER_HELD}: ${reason}`;
}

type StoreStatus = Pick<
  AgentStatus,
  'captured' | 'queue' | 'backfill' | 'inbox' | 'version' | 'head' | 'cursor' | 'identity'
>;

const NOTHING: StoreStatus = {
  captured: 0,
  queue: 0,
  backfill: null,
  inbox: { gateway: 0, local: 0 },
  version: null,
  head: null,
  cursor: null,
  identity: null,
};
