import type { z } from 'zod';
import * as wire from '../../protocol/chat.ts';
import type { Presence, Room } from '../../protocol/chat.ts';
import { AppError } from '../../protocol/errors.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { answerWith, noSuchEvent, readArguments, requireOne } from '../sockets/answer.ts';
import { closeWith } from '../sockets/close.ts';
import { createPace, REFRESH_PACE } from '../sockets/guards.ts';
import { parseMessage } from '../sync/messages.ts';
import { authenticate, refreshToken } from './admission.ts';
import { audience, principalAudience, requireAdmitted, requirePrincipal } from './connection.ts';
import type { Connection } from './connection.ts';
import { readHistory, submitMessage } from './messages.ts';
import type { SentMessage } from './messages.ts';
import { createRoom, joinRoom, leaveRoom, listRooms, markRead, requireChat, requireMember } from './rooms.ts';
import { requireText } from './text.ts';

/** What each event may be sent, per socket: events a second, and at once. */
const PACES: Record<string, { perSecond: number; burst: number }> = {
  authenticate: { perSecond: 1, burst: 5 },
  'auth:refresh': REFRESH_PACE,
  message: { perSecond: 50, burst: 500 },
  'room:list': { perSecond: 10, burst: 50 },
  'room:create': { perSecond: 0.5, burst: 10 },
  'room:join': { perSecond: 5, burst: 50 },
  'room:leave': { perSecond: 5, burst: 50 },
  'room:history': { perSecond: 20, burst: 100 },
  typing: { perSecond: 2, burst: 5 },
  read: { perSecond: 20, burst: 100 },
  'status:set': { perSecond: 1, burst: 10 },
  'status:list': { perSecond: 2, burst: 20 },
};

/** Every event together. Whoever is over it is cut off; the others go on. */
const TOTAL_PACE = { perSecond: 200, burst: 2_000 };

/** Messages one socket may have waiting for their acknowledgement. */
const MESSAGES_IN_FLIGHT = 1_000;

type Ack = (answer: unknown) => void;
type Handler = (connection: Connection, principal: Principal, body: unknown) => Promise<unknown>;

/** What a socket that has authenticated may ask, and who answers. */
const HANDLERS: Record<string, Handler> = {
  message: (connection, _principal, body) => send(connection, body),
  'room:list': async ({ chat }, principal): Promise<{ ok: true; rooms: Room[] }> => ({
    ok: true,
    rooms: await listRooms(chat.deps.db.sql, principal),
  }),
  'room:create': create,
  'room:join': on(wire.roomRequest, async ({ chat, ip }, principal, { room }) => {
    await joinRoom(chat.deps, principal, { room, ip });
    await chat.membership.changed(principal, room);
  }),
  'room:leave': on(wire.roomRequest, async ({ chat, ip }, principal, { room }) => {
    await leaveRoom(chat.deps, principal, { room, ip });
    await chat.membership.changed(principal, room);
  }),
  'room:history': on(wire.roomHistory, ({ chat }, principal, page) =>
    readHistory(chat.deps.db.sql, principal, page),
  ),
  typing: on(wire.typingRequest, (connection, principal, { room }) => typing(connection, principal, room)),
  read: on(wire.readRequest, ({ chat }, principal, mark) => markRead(chat.deps.db.sql, principal, mark)),
  'status:set': on(wire.statusSet, async ({ chat }, principal, set) => {
    requireText('text', set.text ?? '');
    requireChat(principal);
    await chat.deps.presence.setStatus(principal, set);
  }),
  'status:list': async ({ chat }, principal): Promise<{ ok: true; presence: Presence[] }> => {
    requireChat(principal);
    return { ok: true, presence: await chat.deps.presence.list(principal.tenantId) };
  },
};

/** Serves the event table of the namespace `/` on one socket. */
export function listen(connection: Connection): void {
  const { socket } = connection;
  const total = createPace(TOTAL_PACE);
  const paces = new Map(Object.entries(PACES).map(([event, pace]) => [event, createPace(pace)]));
  socket.onAny((name: unknown, ...args: unknown[]) => {
    // the parser lets numbers through as names
    const event = String(name);
    const { bodies, ack } = readArguments(args);
    if (!total.take()) closeWith(connection, new AppError('rate_limited'));
    else if (paces.get(event)?.take() === false) refuse(connection, event, ack);
    else if (event === 'authenticate') void inOrder(connection, () => authenticate(connection, bodies, ack));
    else void answer(connection, ack, () => handle(connection, event, requireOne(bodies)));
  });
}

async function handle(connection: Connection, event: string, body: unknown): Promise<unknown> {
  // asked in the same breath as it authenticates
  if (!connection.admitted) await connection.order;
  if (event === 'auth:refresh') {
    return { ok: true, expiresAt: await refreshToken(connection, body) };
  }
  const handler = Object.hasOwn(HANDLERS, event) ? HANDLERS[event] : undefined;
  if (!handler) throw noSuchEvent(event);
  // `message` looks the caller up by itself, in its turn
  const principal =
    event === 'message' ? requireAdmitted(connection).rights.principal : await requirePrincipal(connection);
  return await handler(connection, principal, body);
}

/** Parses the body, does the work, and answers `ok: true` with what the work returns. */
function on<Schema extends z.ZodType>(
  schema: Schema,
  work: (connection: Connection, principal: Principal, body: z.infer<Schema>) => Promise<unknown>,
): Handler {
  return async (connection, principal, body) => {
    const result = await work(connection, principal, parseMessage(schema, body));
    return { ok: true, ...(result as object | undefined) };
  };
}

async function create(connection: Connection, principal: Principal, body: unknown): Promise<{ ok: true }> {
  const { room, title } = parseMessage(wire.roomCreate, body);
  requireText('title', title ?? '');
  const { chat, ip } = connection;
  await createRoom(chat.deps, principal, { room, title, ip });
  await chat.membership.changed(principal, room);
  chat.membership.created(principal.tenantId, room);
  return { ok: true };
}

/** Checks one message after the other and hands them in, so that they keep their order; the commits are not waited for. */
async function send(connection: Connection, body: unknown): Promise<SentMessage> {
  const message = parseMessage(wire.sendMessage, body);
  requireText('body', message.body);
  if (connection.messagesInFlight >= MESSAGES_IN_FLIGHT) throw new AppError('busy', { retryAfterMs: 100 });
  connection.messagesInFlight += 1;
  const { chat, ip } = connection;
  try {
    const { sent } = await inOrder(connection, async () => {
      const principal = await requirePrincipal(connection);
      await requireMember(chat.deps.db.sql, principal, message.room);
      // not returned bare, or the next message would wait for this one's commit
      return { sent: submitMessage(chat.deps, { principal, ip }, message) };
    });
    const answered = await sent;
    connection.messages += 1;
    chat.metrics.messages.inc();
    return answered;
  } finally {
    connection.messagesInFlight -= 1;
  }
}

/** Runs the work when what came before it on this connection is done. */
function inOrder<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  const result = connection.order.then(work);
  connection.order = result.catch(() => undefined);
  return result;
}

/** To the room's members on all nodes, the sender left out; nothing is kept. */
function typing(connection: Connection, principal: Principal, room: string): Promise<void> {
  requireChat(principal);
  const { chat, socket } = connection;
  const { tenantId } = principal;
  if (!socket.rooms.has(audience.room(tenantId, room))) throw new AppError('forbidden');
  const event = { room, from: { id: principal.id, username: principal.name } };
  chat.namespace.local
    .to(audience.room(tenantId, room))
    .except(principalAudience(principal))
    .emit('typing', event);
  const hint = { node: chat.nodeId, tenantId, principal: principalKey(principal), event };
  chat.deps.hints.publish('typing', JSON.stringify(hint));
  return Promise.resolve();
}

/** Carries what other nodes' people are typing to this node's. Returns how to stop. */
export function relayTyping(chat: Pick<Connection['chat'], 'deps' | 'namespace' | 'nodeId'>): () => void {
  return chat.deps.hints.subscribe('typing', (body) => {
    const hint = JSON.parse(body) as TypingHint;
    if (hint.node === chat.nodeId) return;
    chat.namespace.local
      .to(audience.room(hint.tenantId, hint.event.room))
      .except(audience.principal(hint.tenantId, hint.principal))
      .emit('typing', hint.event);
  });
}

interface TypingHint {
  node: string;
  tenantId: number;
  principal: string;
  event: { room: string; from: { id: string; username: string } };
}

async function answer(
  connection: Connection,
  ack: Ack | undefined,
  work: () => Promise<unknown>,
): Promise<void> {
  const { log, metrics, door } = connection.chat.deps;
  const { admitted } = connection;
  const principal = admitted && principalKey(admitted.rights.principal);
  await answerWith({ log, metrics, principal, door }, ack, work);
}

function refuse(connection: Connection, event: string, ack: Ack | undefined): void {
  const refusal = new AppError('rate_limited', { retryAfterMs: 1_000 });
  if (event === 'authenticate')
    connection.socket.emit('auth_error', { code: refusal.code, message: refusal.message });
  void answer(connection, ack, () => Promise.reject(refusal));
}
