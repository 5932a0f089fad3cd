import type { RetryAdvice } from '../protocol/errors.ts';
import { ERRORS } from '../protocol/errors.ts';
import type { Closing } from '../protocol/sync.ts';
import { authRefresh } from '../protocol/sync.ts';
import type { Backoff } from './backoff.ts';
import { DEFAULT_BACKOFF, refusedDelay, retryDelay } from './backoff.ts';
import { systemClock } from './clock.ts';
import { connectSocket } from './connection.ts';
import { toError } from './emitter.ts';
import { ApiError, ConnectRefused, SluiceError } from './errors.ts';
import type { LinkEvent, LinkState } from './state.ts';
import { IDLE, transition } from './state.ts';
import type { Channel, Clock, Connect, EngineOptions, TokenSource } from './types.ts';

/** Keeps one namespace connected: the machinery that the sync client and the chat client share. */

export interface Welcome {
  snapshot: boolean;
  head: number;
  serverTime: string;
}

export interface LinkOptions extends EngineOptions {
  url: string;
  namespace: '/sync' | '/';
  tokens: TokenSource;
  /** Makes the open connection last, before its time is over; left out: with a fresh token. */
  renew?: (() => Promise<boolean>) | undefined;
  /** Says hello on a fresh connection. Throws ConnectRefused when the gateway will not have us. */
  welcome(channel: Channel): Promise<Welcome>;
  /** The state is `live` or `snapshot` now. */
  onWelcomed(): void;
  onMessage(event: string, body: unknown): void;
  onLost(): void;
  onState(state: LinkState): void;
  onError(error: Error): void;
}

export interface Link {
  readonly state: LinkState;
  start(): void;
  close(): void;
  /** Gives up the connection and connects again: after `retryInMs`, or as the error and the backoff say. */
  drop(error: Error, options?: { retryInMs?: number }): void;
  note(event: Extract<LinkEvent, { type: 'page' | 'reset' | 'advanced' }>): void;
  request(event: string, body: unknown): Promise<unknown>;
  send(event: string, body: unknown): void;
  /** Hands a fresh token to the open connection; false: the gateway does not want it. */
  refreshToken(): Promise<boolean>;
  /** Does not wait for the backoff. */
  retryNow(): void;
}

const DEFAULT_TIMEOUT_MS = 15_000;

export function createLink(options: LinkOptions): Link {
  return new ReconnectingLink(options);
}

/** What to do about a code: from the shared table, unknown ones like a refusal. */
export function adviceOf(code: string): RetryAdvice {
  const table: Record<string, { retry: RetryAdvice } | undefined> = ERRORS;
  return table[code]?.retry ?? 'never';
}

class ReconnectingLink implements Link {
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #backoff: Backoff;
  readonly #connect: Connect;
  readonly #timeoutMs: number;
  #state: LinkState = IDLE;
  #channel: Channel | undefined;
  /** Counts connections: what an older one still has to say is not heard. */
  #generation = 0;
  #cancelTimer: () => void = () => undefined;
  /** The next connection needs a token that is not the cached one. */
  #forceToken = false;
  /** A new token has been tried since the connection was last good. */
  #triedNewToken = false;
  /** What the gateway said before closing. */
  #farewell: ConnectRefused | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#backoff = { ...DEFAULT_BACKOFF, ...options.backoff };
    this.#connect = options.connect ?? connectSocket;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  get state(): LinkState {
    return this.#state;
  }

  start(): void {
    this.#dispatch({ type: 'start' });
  }

  close(): void {
    this.#hangUp();
    this.#dispatch({ type: 'close' });
  }

  drop(error: Error, { retryInMs }: { retryInMs?: number } = {}): void {
    if (this.#state.name === 'idle' || this.#state.name === 'closed') return;
    this.#hangUp();
    if (retryInMs === undefined) this.#fail(error);
    else this.#dispatch({ type: 'lost', retryInMs, error: error.message });
  }

  note(event: LinkEvent): void {
    this.#dispatch(event);
  }

  request(event: string, body: unknown): Promise<unknown> {
    if (!this.#channel) return Promise.reject(new SluiceError('disconnected', `not connected: ${event}`));
    return this.#channel.request(event, body, this.#timeoutMs);
  }

  send(event: string, body: unknown): void {
    this.#channel?.send(event, body);
  }

  async refreshToken(): Promise<boolean> {
    const token = await this.#options.tokens.getAccessToken({ forceRefresh: true });
    const answer = (await this.request('auth:refresh', authRefresh.parse({ token }))) as { ok?: boolean };
    return answer.ok === true;
  }

  retryNow(): void {
    this.#dispatch({ type: 'retry' });
  }

  async #open(): Promise<void> {
    const generation = (this.#generation += 1);
    const stale = (): boolean => generation !== this.#generation;
    try {
      const token = await this.#options.tokens.getAccessToken(this.#forceToken ? { forceRefresh: true } : {});
      if (stale()) return;
      const channel = await this.#connect({
        url: this.#options.url,
        namespace: this.#options.namespace,
        token,
        timeoutMs: this.#timeoutMs,
        onMessage: (event, body) => {
          if (!stale()) this.#hear(event, body);
        },
        onClose: (reason) => {
          if (!stale()) this.#lose(reason);
        },
      });
      if (stale()) {
        channel.close();
        return;
      }
      this.#channel = channel;
      this.#forceToken = false;
      const welcome = await this.#options.welcome(channel);
      if (stale()) return;
      this.#dispatch({ type: 'welcome', ...welcome });
      this.#options.onWelcomed();
    } catch (error) {
      if (stale()) return;
      this.#hangUp();
      this.#fail(toError(error));
    }
  }

  #hear(event: string, body: unknown): void {
    const { code, message, retryAfterMs } = (body ?? {}) as Partial<Closing>;
    if (event === 'auth:expiring') this.#renew();
    if (event === 'auth:revoked') this.#farewell = new ConnectRefused(code ?? 'revoked', 'revoked');
    if (event === 'sync:closing' && code !== undefined)
      this.#farewell = new ConnectRefused(code, message ?? code, { retryAfterMs });
    this.#options.onMessage(event, body);
  }

  #renew(): void {
    const { renew = () => this.refreshToken() } = this.#options;
    renew().then(
      (taken) => {
        if (!taken) this.#options.onError(new Error('the gateway refused the fresh token'));
      },
      (error: unknown) => this.#options.onError(toError(error)),
    );
  }

  #lose(reason: string): void {
    const farewell = this.#farewell;
    this.#hangUp();
    this.#fail(
      farewell ?? new SluiceError('disconnected', `the connection ended: ${reason}`),
      farewell !== undefined,
    );
  }

  /** Ends the connection without a word to the state. */
  #hangUp(): void {
    const channel = this.#channel;
    this.#generation += 1;
    this.#channel = undefined;
    this.#farewell = undefined;
    channel?.close();
    if (channel) this.#options.onLost();
  }

  /** Decides what comes after a failure. `parted`: the gateway had let us in and then closed. */
  #fail(error: Error, parted = false): void {
    const { code, advice, retryAfterMs } = judge(error);
    if (advice === 'auth') this.#forceToken = true;
    if (advice === 'auth' && !this.#triedNewToken) {
      this.#triedNewToken = true;
      this.#dispatch({ type: 'lost', retryInMs: 0, error: error.message });
    } else if (advice === 'later' || (parted && advice === 'never')) this.#wait(error, retryAfterMs);
    else this.#refuse(code, error, retryAfterMs);
  }

  #wait(error: Error, advisedMs: number | undefined): void {
    const retryInMs = retryDelay(this.#backoff, this.#random, { attempt: this.#attempt(), advisedMs });
    this.#dispatch({ type: 'lost', retryInMs, error: error.message });
  }

  #refuse(code: string, error: Error, advisedMs: number | undefined): void {
    const retryInMs = refusedDelay(this.#backoff, this.#random, { attempt: this.#attempt(), advisedMs });
    this.#forceToken = true;
    this.#dispatch({ type: 'refuse', code, retryInMs, message: error.message });
  }

  #attempt(): number {
    return 'attempt' in this.#state ? this.#state.attempt : 0;
  }

  #dispatch(event: LinkEvent): void {
    const before = this.#state;
    const after = transition(before, event);
    if (after === before) return;
    this.#state = after;
    // The head moves with every delta, and `changes` tells of those.
    if (event.type !== 'advanced') this.#options.onState(after);
    // The listener may itself have moved the state on, and then has acted on it.
    if (this.#state === after && after.name !== before.name) this.#enter(after);
  }

  #enter(state: LinkState): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
    if (state.name === 'connecting') void this.#open();
    if (state.name === 'offline' || state.name === 'refused')
      this.#cancelTimer = this.#clock.after(state.retryInMs, () => this.#dispatch({ type: 'retry' }));
    if (state.name === 'live' || state.name === 'snapshot')
      this.#cancelTimer = this.#clock.after(this.#backoff.stableMs, () => this.#becomeStable());
  }

  #becomeStable(): void {
    this.#triedNewToken = false;
    this.#dispatch({ type: 'stable' });
  }
}

/** Reads a failure: what it is called and what helps against it. */
function judge(error: Error): { code: string; advice: RetryAdvice; retryAfterMs?: number | undefined } {
  if (error instanceof ConnectRefused)
    return {
      code: error.code,
      advice: error.advice ?? adviceOf(error.code),
      retryAfterMs: error.retryAfterMs,
    };
  if (error instanceof ApiError) {
    // The token could not be had. Nobody there, or overloaded: wait; else the credentials are not accepted.
    const passing = error.status === 0 || error.status === 429 || error.status >= 500;
    return { code: error.code, advice: passing ? 'later' : 'never', retryAfterMs: error.retryAfterMs };
  }
  return { code: 'disconnected', advice: 'later' };
}
