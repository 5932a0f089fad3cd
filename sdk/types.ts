import type { ChatMessage, Presence, Room } from '../protocol/chat.ts';
import type {
  Change,
  Mutation,
  PushVerdict,
  RecordData,
  SnapshotRecord,
  Subscription,
} from '../protocol/sync.ts';
import type { WireError } from '../protocol/errors.ts';
import type { LinkState } from './state.ts';
import type { Outcome, QueuedBatch, Replica, Store } from './store.ts';

/** Where access tokens come from. Both session kinds are one. */
export interface TokenSource {
  /** A token that is good for at least some seconds. `forceRefresh`: the cached one was refused. */
  getAccessToken(options?: { forceRefresh?: boolean }): Promise<string>;
}

/** Time, injected so that tests need not wait. */
export interface Clock {
  now(): number;
  /** Runs fn once after ms milliseconds; the result cancels it. */
  after(ms: number, fn: () => void): () => void;
}

export type Fetch = typeof globalThis.fetch;

export interface BackoffOptions {
  /** First upper bound in ms; doubled with each attempt. Left out: 500. */
  baseMs?: number;
  /** Highest upper bound in ms. Left out: 30,000. */
  capMs?: number;
  /** A connection that held this long counts as good again. Left out: 10,000 ms. */
  stableMs?: number;
  /** Longest pause in ms, also where the gateway advised a longer one. Left out: as long as it advised. */
  longestMs?: number;
}

/** A socket, reduced to what the engine needs; `connect` in the options replaces it in tests. */
export interface Channel {
  /** Emits with acknowledgement; rejects with `timeout` or `disconnected`. */
  request(event: string, body: unknown, timeoutMs: number): Promise<unknown>;
  send(event: string, body: unknown): void;
  close(): void;
}

export interface ConnectOptions {
  url: string;
  namespace: '/sync' | '/';
  /** Empty: none, whoever connects logs in on the connection. */
  token: string;
  timeoutMs: number;
  onMessage: (event: string, body: unknown) => void;
  onClose: (reason: string) => void;
}

/** Resolves when the namespace is connected; rejects with ConnectRefused or a plain Error. */
export type Connect = (options: ConnectOptions) => Promise<Channel>;

/** How the engine works underneath; each part has a default. */
export interface EngineOptions {
  clock?: Clock;
  /** In [0, 1). */
  random?: () => number;
  backoff?: BackoffOptions;
  connect?: Connect;
  /** Milliseconds to wait for a connection or an acknowledgement. Left out: 15,000. */
  timeoutMs?: number;
}

export interface SyncClientOptions extends EngineOptions {
  /** Base URL of the gateway, http(s) or ws(s). */
  url: string;
  tokens: TokenSource;
  store: Store;
  subscribe: readonly Subscription[];
  app?: { name: string; version: string };
  /** Batches and bytes sent and not yet answered. Left out: 16 and 512 KiB. */
  window?: { batches?: number; bytes?: number };
  /** Mutations one batch may have on this connection. Left out: 5,000, the most that the gateway allows. */
  batchMutations?: number;
}

export type SyncState = LinkState;

/** What came of one batch. */
export interface BatchVerdict {
  seq: number;
  batchId: string;
  outcome: Outcome;
  batch: QueuedBatch;
  /** Absent only when quarantined. */
  verdict?: PushVerdict;
  error?: WireError;
}

export interface SyncEvents {
  /** Every change of the connection's state, but for a `head` that only moved on: read that from `client.state`. */
  state: SyncState;
  /** After they were stored together with the cursor `to`; stale ones are left out. */
  changes: { from: string; to: string; more: boolean; changes: Change[] };
  /** After a page was stored. */
  snapshot: { page: string; at: string; more: boolean; records: SnapshotRecord[]; received: number };
  verdict: BatchVerdict;
  /** The replica was emptied; a snapshot follows. */
  reset: { reason: string };
  /** New incarnation, and why: `store_rolled_back`, `batch_missing`, `seq_reuse`, `quarantine`, `client_mismatch`. */
  identity: { clientId: string; incarnation: string; reason: string };
  /** The gateway said that it will close the connection. */
  closing: { code: string; message: string; retryAfterMs?: number };
  revoked: { code: string };
  /** Pushes are refused again and again for reasons that pass; told from the third refusal in a row on. */
  stalled: { code: string; message: string; refusals: number };
  /** A message the engine has no use for itself (`config:changed`, …). */
  message: { event: string; body: unknown };
  /** Nothing is lost by it; the engine goes on. */
  error: Error;
}

export interface PushedBatch {
  seq: number;
  batchId: string;
  /** Resolves with the verdict; rejects with SluiceError `quarantined`, or `closed` when the client closes first. */
  settled: Promise<PushVerdict>;
}

export interface SyncStats {
  /** Batches waiting in the outbox, those in flight included. */
  queue: number;
  inFlight: number;
  inbox: number;
  applied: number;
  refused: number;
  changes: number;
  connects: number;
  cursor: string | null;
  /** The tenant's version at the last hello or change. */
  head: number | null;
}

export type Unlisten = () => void;

export interface SyncClient {
  readonly state: SyncState;
  /** The local copy; works offline, before `start()` too. */
  readonly replica: Replica;
  /** Opens the store and keeps connecting until `close()`. Rejects only when the store cannot be opened. */
  start(): Promise<void>;
  /** Connects at once instead of waiting for the next try. */
  retryNow(): void;
  /** Disconnects; with `closeStore: false` the store stays open. */
  close(options?: { closeStore?: boolean }): Promise<void>;
  /** Resolves when the batch is durable in the local outbox; see Store.enqueue for its errors. */
  push(
    mutations: readonly Mutation[],
    options?: { atomic?: boolean; dependsOn?: readonly string[]; batchId?: string },
  ): Promise<PushedBatch>;
  /** Adds or replaces the subscription of a collection; the replica is filled anew. */
  subscribe(subscription: Subscription): Promise<void>;
  unsubscribe(collection: string): Promise<void>;
  stats(): Promise<SyncStats>;
  /**
   * Resolves when the outbox is empty: every batch has its verdict, those pushed meanwhile too. Waits through offline
   * and refused connections, and for `start()`. Rejects with SluiceError `closed` when the client is or gets closed.
   */
  drained(): Promise<void>;
  /** Tells the gateway how much waits here for somebody, now and at each hello. Left out: the inbox, at each hello. */
  report(figures: { inbox: number }): void;
  on<E extends keyof SyncEvents>(event: E, listener: (body: SyncEvents[E]) => void): Unlisten;
}

/** HTTP session of a person. */
export interface SessionUser {
  id: string;
  username: string;
  email?: string;
  [property: string]: unknown;
}

/** Keeps the refresh token between runs (the CLI: a file of mode 0600). Never used in browsers. */
export interface SessionStorage {
  load(): Promise<StoredSession | undefined>;
  save(session: StoredSession): Promise<void>;
  clear(): Promise<void>;
}

export interface StoredSession {
  refreshToken: string;
  user?: SessionUser;
}

export interface Session extends TokenSource {
  /** The person logged in, as last seen. */
  readonly user: SessionUser | undefined;
  signup(input: {
    username: string;
    email: string;
    password: string;
  }): Promise<{ message: string; userId?: string }>;
  verifyEmail(input: { code: string; email?: string; username?: string }): Promise<{ message: string }>;
  resendVerification(input: { email: string }): Promise<{ message: string }>;
  /** `tenantId`: where the account lives, for who was invited into a tenant of its own; left out: where people sign up. */
  login(input: {
    password: string;
    username?: string;
    email?: string;
    tenantId?: number | undefined;
  }): Promise<SessionUser>;
  /** Any other way in, answered as a login is: the second step of one (`/api/login/mfa`), a passkey (`/api/passkeys/login`). */
  loginBy(path: string, body: unknown): Promise<SessionUser>;
  /**
   * Ends the session at the gateway, and drops it here whatever comes of that. Rejects when the gateway could not be told; in a
   * browser, whose cookie is still there then, it may be called again.
   */
  logout(): Promise<void>;
  /** Drops the session on this side alone: the gateway knows already. */
  forget(): Promise<void>;
  me(): Promise<SessionUser>;
  /** Takes up the stored session; undefined: log in. Throws when the gateway cannot be reached. */
  restore(): Promise<SessionUser | undefined>;
  /** An authenticated call: JSON in and out; a refused token is refreshed once. Errors are ApiError. */
  request<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
  /** Told when the person changes: logged in, or out (also when the gateway ended the session). */
  onChange(listener: (user: SessionUser | undefined) => void): Unlisten;
}

export interface SessionOptions {
  baseUrl: string;
  fetch?: Fetch;
  storage?: SessionStorage;
  /** In a browser: the refresh token is an HttpOnly cookie that no script sees. */
  web?: boolean;
  /** Pages that share that cookie renew one after another, and may answer with what another was just given. */
  inTurn?: (renew: () => Promise<unknown>) => Promise<unknown>;
  /** Waited for before each login, whose error it may be: what the last session still owes. */
  beforeLogin?: () => Promise<void>;
  now?: () => number;
}

/** Signs that it is this client, to this gateway (RFC 7523); `now` in epoch ms. `privateKeyJwt` (sdk/private-key.ts) makes one. */
export type ClientAssertion = (about: { clientId: string; audience: string; now: number }) => Promise<string>;

export interface SecretCredential {
  clientSecret: string;
}

export interface KeyCredential {
  clientAssertion: ClientAssertion;
  /** Whom assertions are for: the gateway's PUBLIC_URL, where it is reached by another address. */
  audience?: string;
}

/** What a machine proves itself with, as its client is registered. */
export type ClientCredential = SecretCredential | KeyCredential;

export interface MachineOptions {
  baseUrl: string;
  clientId: string;
  scope?: string;
  fetch?: Fetch;
  now?: () => number;
}

export type MachineSessionOptions = MachineOptions & ClientCredential;

export interface MachineSession extends TokenSource {
  request<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
}

export type ChatState = LinkState;

export interface ChatEvents {
  state: ChatState;
  /** In seq order per room, each once, gaps filled from the history. */
  message: ChatMessage;
  presence: Presence;
  typing: { room: string; from: { id: string; username: string } };
  /** The list of rooms or one of them changed. */
  rooms: Room[];
  /** Something without a page of its own, a terminal, asks to be let in as this person. */
  device: { user_code: string; client: string; scopes: string[] | null };
  revoked: { code: string };
  error: Error;
}

export type Status = 'online' | 'away' | 'busy' | 'offline';

/** A person, for a connection that has no token. */
export interface ChatLogin {
  username: string;
  password: string;
  /** Where the account lives; left out: where people sign up. */
  tenantId?: number;
}

/** `login`: name and password instead of a session; where the person has a second factor, log in by a session. */
export type ChatClientOptions = EngineOptions & { url: string } & (
    { tokens: TokenSource } | { login: ChatLogin }
  );

export interface ChatClient {
  readonly state: ChatState;
  /** By principal id. */
  readonly presence: ReadonlyMap<string, Presence>;
  readonly rooms: readonly Room[];
  start(): void;
  /** Connects at once instead of waiting for the next try. */
  retryNow(): void;
  close(): Promise<void>;
  /** Repeated with the same clientMessageId until acknowledged; rejects on a refusal or when closed. */
  send(
    room: string,
    body: string,
    options?: { clientMessageId?: string },
  ): Promise<{ id: string; seq: number; at: string }>;
  listRooms(): Promise<Room[]>;
  createRoom(room: string, title?: string): Promise<void>;
  join(room: string): Promise<void>;
  leave(room: string): Promise<void>;
  history(
    room: string,
    options?: { before?: number; limit?: number },
  ): Promise<{ messages: ChatMessage[]; more: boolean }>;
  /** Not repeated, not acknowledged. */
  typing(room: string): void;
  read(room: string, seq: number): Promise<void>;
  setStatus(status: Status, text?: string): Promise<void>;
  on<E extends keyof ChatEvents>(event: E, listener: (body: ChatEvents[E]) => void): Unlisten;
}

export type {
  Change,
  ChatMessage,
  Mutation,
  Presence,
  PushVerdict,
  RecordData,
  Room,
  SnapshotRecord,
  Subscription,
};
