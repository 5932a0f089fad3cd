import type { z } from 'zod';
import * as wire from '../../protocol/chat.ts';
import type { Presence, Room } from '../../protocol/chat.ts';
import { AppError, toWireError } from '../../protocol/errors.ts';
import type { Refusal } from '../../protocol/sync.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { toAppError } from '../errors.ts';
import { createPace } from '../sockets/guards.ts';
import { parseMessage } from '../sync/messages.ts';
import { authenticate, refreshToken } from './admission.ts';
import { audience, closeConnection, principalAudience, requirePrincipal } from './connection.ts';
import type { Connection } from './connection.ts';
import { readHistory, submitMessage } from './messages.ts';
import type { SentMessage } from './messages.ts';
import { createRoom, joinRoom, leaveRoom, listRooms, markRead, requireChat, requireMember } from './rooms.ts';
import { requireText } from './text.ts';

/** What each event may be sent, per socket: events a second, and at once. */
const PACES: Record<string, { perSecond: number; burst: number }> = {
  authenticate: { perSecond: 1, burst: 5 },
  'auth:refresh': { perSecond: 1, burst: 5 },
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
  socket.onAny((event: string, ...args: unknown[]) => {
    const last: unknown = args.at(-1);
    const ack = typeof last === 'function' ? last : undefined;
    const body: unknown = args[0] === last && ack ? undefined : args[0];
    if (!total.take()) closeConnection(connection, 'rate_limited');
    else if (paces.get(event)?.take() === false) refuse(connection, event, ack);
    else if (event === 'authenticate') void inOrder(connection, () => authenticate(connection, body, ack));
    else if (event === 'typing') void answer(connection, undefined, () => typing(connection, body));
    else void answer(connection, ack, () => handle(connection, event, body));
  });
}

async function handle(connection: Connection, event: string, body: unknown): Promise<unknown> {
  // asked in the same breath as it authenticates
  if (!connection.admitted) await connection.order;
  if (event === 'auth:refresh') {
    return { ok: true, expiresAt: await refreshToken(connection, body) };
  }
  const handler = Object.hasOwn(HANDLERS, event) ? HANDLERS[event] : undefined;
  if (!handler)
    throw new AppError('invalid_message', { message: `There is no event ${event.slice(0, 60)}.` });
  // `message` looks the caller up by itself, in its turn
  const principal = event === 'message' ? requireAdmitted(connection) : await requirePrincipal(connection);
  return await handler(connection, principal, body);
}

function requireAdmitted({ admitted }: Connection): Principal {
  if (!admitted) throw new AppError('unauthenticated', { message: 'Authenticate first.' });
  return admitted.principal;
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

/** To the room's members on all nodes, the sender left out; nothing is kept, and nobody is told when it is refused. */
async function typing(connection: Connection, body: unknown): Promise<void> {
  const { room } = parseMessage(wire.typingRequest, body);
  const principal = await requirePrincipal(connection);
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

/** Runs a handler and acknowledges what it returns or throws. A client that asks for no acknowledgement gets none. */
async function answer(connection: Connection, ack: unknown, work: () => Promise<unknown>): Promise<void> {
  const reply = typeof ack === 'function' ? (ack as (answer: unknown) => void) : () => undefined;
  try {
    reply(await work());
  } catch (error) {
    const refusal = toAppError(error);
    const { log, metrics } = connection.chat.deps;
    if (refusal.code === 'internal') log.error({ err: refusal.cause ?? refusal }, 'event failed');
    metrics.refusals.inc({ code: refusal.code });
    reply({ ok: false, error: toWireError(refusal) } satisfies Refusal);
  }
}

function refuse(connection: Connection, event: string, ack: unknown): void {
  const refusal = new AppError('rate_limited', { retryAfterMs: 1_000 });
  if (event === 'authenticate')
    connection.socket.emit('auth_error', { code: refusal.code, message: refusal.message });
  void answer(connection, ack, () => Promise.reject(refusal));
}
