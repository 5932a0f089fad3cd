import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { io as connect } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { ChatMessage, Presence, SendMessageAck } from '../../protocol/chat.ts';
import { AppError } from '../../protocol/errors.ts';
import type { WireError } from '../../protocol/errors.ts';
import { createSocketRegistry } from '../../server/auth/live-sockets.ts';
import type { SocketRegistry } from '../../server/auth/live-sockets.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { serveChat } from '../../server/chat/chat.ts';
import { startPresence } from '../../server/chat/presence.ts';
import type { PresenceBoard, PresenceTiming } from '../../server/chat/presence.ts';
import { openDatabase } from '../../server/db.ts';
import type { Database } from '../../server/db.ts';
import { startHints } from '../../server/hints.ts';
import { createIo } from '../../server/io.ts';
import { createLogger } from '../../server/log.ts';
import { createMetrics } from '../../server/metrics.ts';
import { createDoor } from '../../server/sockets/door.ts';
import { createSync } from '../../server/sync/sync.ts';
import type { Sync } from '../../server/sync/sync.ts';
import { createDatabase } from './database.ts';

/** One node with chat on a real socket, a real database and real hints; identity is made up by the test. */
export interface ChatGateway {
  url: string;
  db: Database;
  databaseUrl: string;
  sync: Sync;
  presence: PresenceBoard;
  sockets: SocketRegistry;
  /** Sessions that are revoked, scopes taken away and so on: what `current` and `authenticate` look at. */
  revoked: Set<string>;
  demoted: Set<string>;
  close(): Promise<void>;
  /** Ends like a process that is killed: sockets drop, leases stay. */
  crash(): Promise<void>;
}

export interface ChatGatewayOptions {
  databaseUrl?: string;
  authenticateWithinMs?: number;
  timing?: Partial<PresenceTiming>;
  /** What the sync core keeps of a tenant that nobody uses is let go after this time. */
  idleMs?: number;
  /** Awaited between finding a token good and saying so. */
  beforeAdmitting?: () => Promise<void>;
}

/** Presence in quick motion, so that a test need not wait half a minute for a lease to run out. */
export const QUICK: Partial<PresenceTiming> = { renewMs: 200, ttlMs: 800, pollMs: 200, graceMs: 300 };

export async function startChatGateway(options: ChatGatewayOptions = {}): Promise<ChatGateway> {
  const databaseUrl = options.databaseUrl ?? (await createDatabase());
  const db = await openDatabase({ url: databaseUrl, migrate: false, poolSize: 6 });
  const log = createLogger('silent');
  const hints = await startHints({ databaseUrl, log });
  const http = createServer();
  const io = createIo(http, () => true);
  const sync = createSync({ db, hints, log, emitToRoom: () => undefined, idleMs: options.idleMs });
  // a crashed node stops writing without a word
  let dead = false;
  const presenceDb: Pick<Database, 'sql'> = {
    sql: (text, values) => (dead ? Promise.reject(new Error('dead')) : db.sql(text, values)),
  };
  const presence = startPresence({ db: presenceDb, hints, log, timing: options.timing });
  const revoked = new Set<string>();
  const demoted = new Set<string>();
  const sockets = createSocketRegistry((sessionId) => revoked.has(sessionId));
  const read = (text: string): Principal => toPrincipal(text, { revoked, demoted });
  const chat = serveChat(io, {
    identity: {
      async authenticate(token) {
        const principal = read(token);
        await options.beforeAdmitting?.();
        return principal;
      },
      current: (principal) => Promise.resolve({ ...principal, ...scopesOf(principal, demoted) }),
      sockets,
    },
    login: ({ username, password }) => {
      if (password !== 'right') return Promise.reject(new AppError('invalid_credentials'));
      return Promise.resolve({ principal: read(chatToken({ id: `00000000-${username}`, name: username })) });
    },
    ...{ sync, db, hints, presence, log, metrics: createMetrics(), door: createDoor(), trustProxy: false },
    authenticateWithinMs: options.authenticateWithinMs,
    membershipPollMs: 500,
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    chat.close();
    await io.close();
    await presence.close();
    await sync.close();
    await hints.close();
    await db.close();
  };
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    ...{ db, databaseUrl, sync, presence, sockets, revoked, demoted },
    close: stop,
    async crash() {
      dead = true;
      await stop();
    },
  };
}

/** A token is the principal itself: who it names is who comes in. */
export interface ChatToken {
  id?: string;
  name?: string;
  tenantId?: number;
  scopes?: string[];
  sessionId?: string;
  ttlMs?: number;
}

export function chatToken(token: ChatToken = {}): string {
  const id = token.id ?? randomUUID();
  return JSON.stringify({ name: `name-${id.slice(0, 4)}`, sessionId: id, ...token, id });
}

function toPrincipal(text: string, state: { revoked: Set<string>; demoted: Set<string> }): Principal {
  let token: Required<Pick<ChatToken, 'id' | 'name' | 'sessionId'>> & ChatToken;
  try {
    token = JSON.parse(text) as typeof token;
  } catch {
    throw new AppError('invalid_token');
  }
  if (state.revoked.has(token.sessionId)) throw new AppError('revoked');
  const principal: Principal = {
    tenantId: token.tenantId ?? 1,
    kind: 'user',
    id: token.id,
    name: token.name,
    sessionId: token.sessionId,
    scopes: new Set(token.scopes ?? ['chat']),
    grants: { read: new Set(), write: new Set() },
    expiresAt: Date.now() + (token.ttlMs ?? 900_000),
  };
  return { ...principal, ...scopesOf(principal, state.demoted) };
}

function scopesOf(principal: Principal, demoted: Set<string>): Pick<Principal, 'scopes'> {
  return { scopes: demoted.has(principal.id) ? new Set() : principal.scopes };
}

/** A chat client written from CONTRACT.md alone. */
export interface ChatWire {
  socket: Socket;
  id: string;
  messages: ChatMessage[];
  presence: Presence[];
  /** Every event heard, in order: name and body. */
  heard: [string, unknown][];
  ask<T = Answer>(event: string, body?: unknown): Promise<T>;
  send(room: string, body: string, clientMessageId?: string): Promise<SendMessageAck>;
  close(): void;
}

/** What tests look at in an answer. */
export interface Answer {
  ok: boolean;
  error: WireError;
  messages: ChatMessage[];
  more: boolean;
  presence: Presence[];
  rooms: { room: string; title: string; member: boolean; lastSeq: number; readSeq: number }[];
}

/** Connects without authenticating. */
export function openChat(url: string, auth: Record<string, unknown> = {}): ChatWire {
  const socket = connect(url, { transports: ['websocket'], reconnection: false, forceNew: true, auth });
  const client: ChatWire = {
    socket,
    id: '',
    messages: [],
    presence: [],
    heard: [],
    ask: async <T>(event: string, body: unknown = {}) =>
      (await socket.timeout(10_000).emitWithAck(event, body)) as T,
    send: (room, body, clientMessageId = randomUUID()) =>
      client.ask<SendMessageAck>('message', { room, body, clientMessageId }),
    close: () => void socket.close(),
  };
  socket.onAny((event: string, body: unknown) => client.heard.push([event, body]));
  socket.on('message', (message: ChatMessage) => client.messages.push(message));
  socket.on('presence', (one: Presence) => client.presence.push(one));
  return client;
}

/** Connects with a token in the handshake, and waits until it is in. */
export async function enterChat(url: string, token: ChatToken = {}): Promise<ChatWire> {
  const text = chatToken(token);
  const client = openChat(url, { token: text });
  client.id = (JSON.parse(text) as { id: string }).id;
  await new Promise<void>((resolve, reject) => {
    client.socket.once('auth_success', () => resolve());
    client.socket.once('auth_error', (error: { code: string }) => reject(new Error(error.code)));
    client.socket.once('connect_error', reject);
  });
  return client;
}

/** The latest that a client was told about somebody. */
export function latest(client: ChatWire, id: string): Presence | undefined {
  return client.presence.findLast((one) => one.principal.endsWith(`:${id}`));
}

/** The other tenant of the isolation tests. */
export async function addTenant(db: Database, id: number): Promise<void> {
  await db.sql(`INSERT INTO tenants (id, name) VALUES ($1, 'other')`, [id]);
  await db.sql('INSERT INTO sync_versions (tenant_id, epoch) VALUES ($1, gen_random_uuid())', [id]);
}
