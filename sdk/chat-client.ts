import { v4 as uuidv4 } from 'uuid';
import { z } from 'zod';
import type { ChatMessage, Presence, Room } from '../protocol/chat.ts';
import { chatMessage, presence as presenceSchema, room as roomSchema } from '../protocol/chat.ts';
import type { WireError } from '../protocol/errors.ts';
import { ERRORS } from '../protocol/errors.ts';
import { refusal } from '../protocol/sync.ts';
import { DEFAULT_BACKOFF, retryDelay } from './backoff.ts';
import { createChatLogin } from './chat-login.ts';
import { systemClock } from './clock.ts';
import type { Deferred } from './deferred.ts';
import { deferred } from './deferred.ts';
import type { Emitter } from './emitter.ts';
import { createEmitter, toError } from './emitter.ts';
import { ApiError, ConnectRefused, SluiceError } from './errors.ts';
import type { Link, Welcome } from './link.ts';
import { adviceOf, createLink } from './link.ts';
import type { RoomOrder } from './room-order.ts';
import { createRoomOrder } from './room-order.ts';
import type {
  Channel,
  ChatClient,
  ChatClientOptions,
  ChatEvents,
  ChatState,
  Clock,
  Status,
  TokenSource,
  Unlisten,
} from './types.ts';

/** Chat and status over the namespace `/`, on the same connection machinery as the sync client. */
export function createChatClient(options: ChatClientOptions): ChatClient {
  return new LinkedChatClient(options);
}

type SentMessage = Awaited<ReturnType<ChatClient['send']>>;

interface Pending {
  body: { room: string; body: string; clientMessageId: string };
  answer: Deferred<SentMessage>;
  attempt: number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const NO_TOKEN: TokenSource = { getAccessToken: () => Promise.resolve('') };
const sent = z.object({ ok: z.literal(true), id: z.string(), seq: z.number(), at: z.string() });
const rooms = z.object({ ok: z.literal(true), rooms: z.array(roomSchema) });
const history = z.object({ ok: z.literal(true), messages: z.array(chatMessage), more: z.boolean() });
const statuses = z.object({ ok: z.literal(true), presence: z.array(presenceSchema) });
const done = z.object({ ok: z.literal(true) });

class LinkedChatClient implements ChatClient {
  readonly #options: ChatClientOptions;
  readonly #clock: Clock;
  readonly #events: Emitter<ChatEvents>;
  readonly #link: Link;
  readonly #logIn: ReturnType<typeof createChatLogin> | undefined;
  readonly #order: RoomOrder;
  readonly #presence = new Map<string, Presence>();
  readonly #pending = new Map<string, Pending>();
  #rooms: Room[] = [];
  #authenticated = deferred<undefined>();

  constructor(options: ChatClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#events = createEmitter((error) => this.#events.emit('error', error));
    this.#order = createRoomOrder({
      history: (room, before) => this.history(room, { before, limit: 200 }),
      emit: (message) => this.#events.emit('message', message),
      onError: (error) => this.#events.emit('error', error),
    });
    this.#logIn = 'login' in options ? createChatLogin(options.login) : undefined;
    this.#link = createLink({
      ...options,
      tokens: 'tokens' in options ? options.tokens : NO_TOKEN,
      renew: this.#logIn && (() => this.#renewLogin()),
      namespace: '/',
      welcome: (channel) => this.#welcome(channel),
      onWelcomed: () => this.#onWelcomed(),
      onMessage: (event, body) => this.#hear(event, body),
      onLost: () => {
        this.#authenticated = deferred();
      },
      onState: (state) => this.#events.emit('state', state),
      onError: (error) => this.#events.emit('error', error),
    });
  }

  get state(): ChatState {
    return this.#link.state;
  }

  get presence(): ReadonlyMap<string, Presence> {
    return this.#presence;
  }

  get rooms(): readonly Room[] {
    return this.#rooms;
  }

  on<E extends keyof ChatEvents>(event: E, listener: (body: ChatEvents[E]) => void): Unlisten {
    return this.#events.on(event, listener);
  }

  start(): void {
    this.#link.start();
  }

  retryNow(): void {
    this.#link.retryNow();
  }

  close(): Promise<void> {
    this.#link.close();
    const error = new SluiceError('closed', 'the client was closed before the message was acknowledged');
    for (const { answer } of this.#pending.values()) answer.reject(error);
    this.#pending.clear();
    return Promise.resolve();
  }

  send(room: string, body: string, { clientMessageId = uuidv4() } = {}): Promise<SentMessage> {
    const known = this.#pending.get(clientMessageId);
    if (known) return known.answer.promise;
    if (this.state.name === 'closed')
      return Promise.reject(new SluiceError('closed', 'the client is closed'));
    const pending = { body: { room, body, clientMessageId }, answer: deferred<SentMessage>(), attempt: 0 };
    this.#pending.set(clientMessageId, pending);
    if (this.state.name === 'live') void this.#transmit(pending);
    return pending.answer.promise;
  }

  async listRooms(): Promise<Room[]> {
    this.#rooms = (await this.#ask('room:list', {}, rooms)).rooms;
    this.#events.emit('rooms', this.#rooms);
    return this.#rooms;
  }

  async createRoom(room: string, title?: string): Promise<void> {
    await this.#ask('room:create', { room, ...(title === undefined ? {} : { title }) }, done);
  }

  async join(room: string): Promise<void> {
    await this.#ask('room:join', { room }, done);
  }

  async leave(room: string): Promise<void> {
    await this.#ask('room:leave', { room }, done);
    this.#order.forget(room);
  }

  async history(
    room: string,
    options: { before?: number; limit?: number } = {},
  ): Promise<{ messages: ChatMessage[]; more: boolean }> {
    const { messages, more } = await this.#ask('room:history', { room, ...options }, history);
    return { messages, more };
  }

  typing(room: string): void {
    this.#link.send('typing', { room });
  }

  async read(room: string, seq: number): Promise<void> {
    await this.#ask('read', { room, seq }, done);
  }

  async setStatus(status: Status, text?: string): Promise<void> {
    await this.#ask('status:set', { status, ...(text === undefined ? {} : { text }) }, done);
  }

  async #welcome(channel: Channel): Promise<Welcome> {
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    if (this.#logIn) await this.#logIn((event, body) => channel.request(event, body, timeoutMs));
    else await this.#untilAuthenticated();
    const listed = accept(rooms, await channel.request('room:list', {}, timeoutMs));
    const seen = accept(statuses, await channel.request('status:list', {}, timeoutMs));
    this.#rooms = listed.rooms;
    this.#presence.clear();
    for (const one of seen.presence) this.#presence.set(one.principal, one);
    return { snapshot: false, head: 0, serverTime: '' };
  }

  /** Logging in again as the same person gives the connection another life. */
  async #renewLogin(): Promise<boolean> {
    await this.#logIn?.((event, body) => this.#link.request(event, body));
    return true;
  }

  /** The token went with the handshake; the gateway says what came of it. */
  async #untilAuthenticated(): Promise<void> {
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const late = deferred<undefined>();
    const cancel = this.#clock.after(timeoutMs, () =>
      late.reject(new SluiceError('timeout', 'the gateway did not say auth_success in time')),
    );
    try {
      await Promise.race([this.#authenticated.promise, late.promise]);
    } finally {
      cancel();
    }
  }

  #onWelcomed(): void {
    this.#events.emit('rooms', this.#rooms);
    for (const one of this.#presence.values()) this.#events.emit('presence', one);
    for (const { room, member, lastSeq } of this.#rooms) if (member) this.#order.reach(room, lastSeq);
    // In the order of sending; the clientMessageId keeps those that had arrived from arriving twice.
    for (const pending of this.#pending.values()) void this.#transmit(pending);
  }

  async #transmit(pending: Pending): Promise<void> {
    const { body, answer } = pending;
    try {
      const { id, seq, at } = await this.#ask('message', body, sent);
      this.#pending.delete(body.clientMessageId);
      answer.resolve({ id, seq, at });
    } catch (error) {
      this.#retry(pending, toError(error));
    }
  }

  #retry(pending: Pending, error: Error): void {
    // Without an answer it stays pending: the next connection sends it again.
    if (!(error instanceof ApiError)) return;
    const advice = adviceOf(error.code);
    if (advice === 'auth') {
      this.#link.drop(new ConnectRefused(error.code, error.message));
      return;
    }
    if (advice === 'never') {
      this.#pending.delete(pending.body.clientMessageId);
      pending.answer.reject(error);
      return;
    }
    const { random = Math.random, backoff } = this.#options;
    const how = { attempt: pending.attempt, advisedMs: error.retryAfterMs };
    pending.attempt += 1;
    this.#clock.after(retryDelay({ ...DEFAULT_BACKOFF, ...backoff }, random, how), () => {
      const waiting = this.#pending.has(pending.body.clientMessageId);
      if (waiting && this.state.name === 'live') void this.#transmit(pending);
    });
  }

  /** Asks and reads the answer. A refusal is an ApiError; silence gives the connection up. */
  async #ask<T>(event: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    try {
      return accept(schema, await this.#link.request(event, body));
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'timeout') this.#link.drop(error);
      throw error;
    }
  }

  #hear(event: string, body: unknown): void {
    if (event === 'auth_success') this.#authenticated.resolve(undefined);
    else if (event === 'auth_error') this.#refused(body as { code?: string; message?: string });
    else if (event === 'message') this.#parsed(chatMessage, body, (message) => this.#order.offer(message));
    else if (event === 'presence') this.#parsed(presenceSchema, body, (one) => this.#see(one));
    else if (event === 'typing') this.#events.emit('typing', body as ChatEvents['typing']);
    else if (event === 'auth:revoked') this.#events.emit('revoked', body as ChatEvents['revoked']);
    else if (event === 'device:request') this.#events.emit('device', body as ChatEvents['device']);
    else if (event === 'room:changed')
      this.listRooms().catch((error: unknown) => this.#events.emit('error', toError(error)));
  }

  #refused({ code = 'unauthenticated', message = code }: { code?: string; message?: string }): void {
    // A login has its answer for itself.
    if (!this.#logIn) this.#link.drop(new ConnectRefused(code, message));
  }

  #see(one: Presence): void {
    this.#presence.set(one.principal, one);
    this.#events.emit('presence', one);
  }

  #parsed<T>(schema: z.ZodType<T>, body: unknown, use: (parsed: T) => void): void {
    const parsed = schema.safeParse(body);
    if (parsed.success) use(parsed.data);
    else this.#events.emit('error', new SluiceError('protocol', 'a message does not parse'));
  }
}

function accept<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const refused = refusal.safeParse(answer);
  if (refused.success) throw toApiError(refused.data.error);
  throw new SluiceError('protocol', 'the answer does not parse');
}

function toApiError({ code, message, retryAfterMs }: WireError): ApiError {
  const table: Record<string, { status: number } | undefined> = ERRORS;
  return new ApiError({ status: table[code]?.status ?? 500, code, message, retryAfterMs });
}
