import type { Server } from 'socket.io';
import { AppError } from '../protocol/errors.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import * as wire from '../protocol/sync.ts';
import { principalKey } from './auth/principal.ts';
import { toAppError } from './errors.ts';
import { answerWith, refuseOthers } from './sockets/answer.ts';
import { clientAddress, createPace, requirePace, watchExpiry } from './sockets/guards.ts';
import { isOverfull } from './sockets/drain-watch.ts';
import { frameSink } from './sockets/frame-sink.ts';
import { authenticateHandshake, toConnectError } from './sockets/handshake.ts';
import { admitLargeMessages, guardIntake } from './sockets/intake.ts';
import { parseMessage } from './sync/messages.ts';
import type { Connection, SocketDeps, SyncNamespace, SyncSocket } from './sockets/connection.ts';

type Writable = Parameters<typeof isOverfull>[0];

/** What costs the database more than an event does has a pace of its own; what goes over it is refused, no more. */
const HELLO_PACE = { perSecond: 2, burst: 10 };
const SUBSCRIBE_PACE = { perSecond: 5, burst: 20 };

/** Pushes one socket may have waiting for their verdict. */
const PUSHES_IN_FLIGHT = 256;

/** The namespace `/sync`: authenticates the handshake, then serves the event table below. */
export function serveSync(io: Server, deps: SocketDeps): SyncNamespace {
  guardIntake(io, deps);
  const namespace = io.of('/sync') as unknown as SyncNamespace;
  namespace.use((socket, next) => {
    authenticate(socket, deps).then(
      () => next(),
      (error: unknown) => next(toConnectError(toAppError(error))),
    );
  });
  namespace.on('connection', (socket) => serve(socket, deps));
  return namespace;
}

async function authenticate(socket: SyncSocket, deps: SocketDeps): Promise<void> {
  const { handshake } = socket;
  try {
    socket.data.principal = await authenticateHandshake(handshake, deps);
    admitLargeMessages(socket.conn);
  } finally {
    // Socket.IO would keep what was sent, whatever it was, for as long as the connection lasts
    handshake.auth = {};
  }
}

function serve(socket: SyncSocket, deps: SocketDeps): void {
  const connection: Connection = {
    socket,
    deps,
    principal: socket.data.principal,
    ip: clientAddress(socket.handshake, deps.trustProxy),
    session: undefined,
    greeting: false,
    paces: { hello: createPace(HELLO_PACE), subscribe: createPace(SUBSCRIBE_PACE) },
    turn: Promise.resolve(),
    unregister: () => undefined,
    leave: () => undefined,
    pushesInFlight: 0,
    pushes: 0,
    closeReason: '',
  };
  const started = Date.now();
  const expiry = watchExpiry(connection.principal.expiresAt, {
    expiring: (at) => socket.emit('auth:expiring', { at }),
    expired: () => closeWith(connection, 'token_expired'),
  });
  deps.metrics.syncSockets.inc();
  socket.on('disconnect', (reason) => {
    connection.unregister();
    connection.leave();
    expiry.stop();
    connection.session?.close();
    deps.metrics.syncSockets.dec();
    deps.log.info(
      {
        principal: principalKey(connection.principal),
        tenantId: connection.principal.tenantId,
        ip: connection.ip,
        clientId: connection.session?.clientId,
        reason: connection.closeReason || reason,
        pushes: connection.pushes,
        seconds: Math.round((Date.now() - started) / 1_000),
      },
      'sync connection closed',
    );
  });
  const pace = createPace({ perSecond: 2_000, burst: 4_000 });
  socket.use((_packet, next) => {
    if (pace.take()) next();
    else next(new AppError('rate_limited', { retryAfterMs: 1_000 }));
  });
  // Socket.IO hands middleware refusals and packets that do not parse to this event: the sender is cut off, the others
  // go on. A client may also send an event of this name, with no Error in it
  socket.on('error', (error: unknown) => {
    if (error instanceof Error)
      closeWith(connection, error instanceof AppError ? error.code : 'invalid_message');
  });
  listen(connection, expiry);
  register(connection);
}

/** Comes last: a session that was revoked meanwhile closes the socket here and now (S56). */
function register(connection: Connection): void {
  const { principal, deps } = connection;
  connection.unregister();
  connection.unregister = deps.identity.sockets.register({
    sessionId: principal.sessionId,
    principalKey: principalKey(principal),
    tenantId: principal.tenantId,
    close: (code) => closeWith(connection, code),
    expiresAt: () => connection.principal.expiresAt,
    changed: () => void rereadRights(connection),
  });
}

function listen(connection: Connection, expiry: ReturnType<typeof watchExpiry>): void {
  const { socket } = connection;
  socket.on('sync:hello', (body, ack) => {
    void answer(connection, ack, () => hello(connection, body)).then((answered) => {
      // no frame before the answer
      if (answered && socket.connected) connection.session?.start();
    });
  });
  socket.on('sync:push', (body, ack) => void answer(connection, ack, () => push(connection, body)));
  socket.on(
    'sync:subscribe',
    (body, ack) => void answer(connection, ack, () => resubscribe(connection, body, true)),
  );
  socket.on(
    'sync:unsubscribe',
    (body, ack) => void answer(connection, ack, () => resubscribe(connection, body, false)),
  );
  socket.on('auth:refresh', (body, ack) => {
    void answer(
      connection,
      ack,
      async () => ({ ok: true, expiresAt: await refresh(connection, body, expiry) }) as const,
    );
  });
  socket.on('sync:ack', (body) => {
    const parsed = wire.syncAck.safeParse(body);
    if (parsed.success) connection.session?.acknowledge(parsed.data);
  });
  refuseOthers(socket);
}

async function answer<T>(connection: Connection, ack: unknown, work: () => Promise<T>): Promise<boolean> {
  const { log, metrics } = connection.deps;
  const asked = { log, metrics, principal: principalKey(connection.principal) };
  return await answerWith(asked, ack, work);
}

async function hello(connection: Connection, body: unknown): Promise<wire.HelloReply> {
  requireFirst(connection);
  requirePace(connection.paces.hello, 500);
  const message = parseMessage(wire.hello, body);
  connection.greeting = true;
  try {
    return await greet(connection, message);
  } finally {
    connection.greeting = false;
  }
}

async function greet(connection: Connection, message: wire.Hello): Promise<wire.HelloReply> {
  const { deps, ip, socket } = connection;
  const principal = await deps.identity.current(connection.principal);
  connection.principal = principal;
  const session = await deps.sync.hello(
    { principal, ip },
    message,
    frameSink(socket, () => closeWith(connection, 'unavailable')),
  );
  try {
    const demoted = connection.principal !== principal && session.rescope(connection.principal);
    if (socket.disconnected || demoted)
      throw new AppError('busy', { message: 'Your rights have just changed: say hello again.' });
  } catch (error) {
    session.close();
    throw error;
  }
  connection.session = session;
  if (principal.kind === 'client' && deps.presence) {
    connection.leave = deps.presence.connected(principal, () => ({
      queue: queueOf(connection, message.app?.queue),
      lag: session.lag,
    }));
  }
  return session.reply;
}

/** What its outbox holds, as far as can be told from here: what it said at hello, less what has come since. */
function queueOf({ pushes, pushesInFlight }: Connection, atHello: number | undefined): number | undefined {
  return atHello === undefined ? undefined : Math.max(0, atHello - pushes) + pushesInFlight;
}

function requireFirst({ session, greeting }: Connection): void {
  if (session || greeting)
    throw new AppError('invalid_message', { message: 'Hello was said on this connection.' });
}

async function push(connection: Connection, body: unknown): Promise<wire.PushVerdict> {
  const { deps, ip, session } = connection;
  if (!session) throw new AppError('hello_required');
  // a reader that has stalled while it goes on pushing would pile up verdicts here
  if (
    connection.pushesInFlight >= PUSHES_IN_FLIGHT ||
    isOverfull(connection.socket.conn as unknown as Writable)
  )
    throw new AppError('busy', { retryAfterMs: 100 });
  const batch = parseMessage(wire.push, body);
  if (batch.mutations.length > session.maxMutations) {
    throw new AppError('payload_too_large', {
      message: `A batch takes ${session.maxMutations} mutations at the most.`,
    });
  }
  connection.pushesInFlight += 1;
  try {
    const { clientId, incarnation } = session;
    // rights are looked up anew, so that a demotion takes effect at the next event (P7)
    const principal = await inTurn(connection, () => deps.identity.current(connection.principal));
    const isAlive = (): boolean => connection.closeReason === '';
    const verdict = await deps.sync.push({ principal, clientId, incarnation, ip, isAlive }, batch);
    connection.pushes += 1;
    deps.metrics.pushes.inc();
    return verdict;
  } finally {
    connection.pushesInFlight -= 1;
  }
}

async function inTurn<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  const turn = connection.turn.then(work, work);
  connection.turn = turn;
  return await turn;
}

async function resubscribe(connection: Connection, body: unknown, add: boolean): Promise<{ ok: true }> {
  const { session, deps, socket } = connection;
  if (!session) throw new AppError('hello_required');
  requirePace(connection.paces.subscribe, 1_000);
  const request = parseMessage(wire.subscription, body);
  const principal = await deps.identity.current(connection.principal);
  const others = session.requested.filter(({ collection }) => collection !== request.collection);
  if (add && others.length >= LIMITS.subscriptions)
    throw new AppError('invalid_message', { message: `At most ${LIMITS.subscriptions} subscriptions.` });
  session.subscribe(principal, add ? [...others, request] : others);
  socket.emit('sync:reset', { reason: 'scope_changed' });
  // rights may have changed while they were looked up
  await rereadRights(connection);
  return { ok: true };
}

async function refresh(
  connection: Connection,
  body: unknown,
  expiry: ReturnType<typeof watchExpiry>,
): Promise<string> {
  const { token } = parseMessage(wire.authRefresh, body);
  const renewed = await connection.deps.identity.authenticate(token, { ip: connection.ip });
  const same =
    renewed.sessionId === connection.principal.sessionId ||
    principalKey(renewed) === principalKey(connection.principal);
  if (!same || renewed.tenantId !== connection.principal.tenantId) {
    throw new AppError('forbidden', {
      message: 'The token is another principal’s: open a connection of its own.',
    });
  }
  connection.principal = renewed;
  expiry.extend(renewed.expiresAt);
  // the old session may end now, the new one ends the socket
  register(connection);
  await rereadRights(connection);
  return new Date(renewed.expiresAt).toISOString();
}

/** Holds the slice to the rights its principal has now; a subscription that has none left ends the connection. */
async function rereadRights(connection: Connection): Promise<void> {
  try {
    const asked = connection.principal;
    const current = await connection.deps.identity.current(asked);
    // an `auth:refresh` came in between: what was asked for is the old token's
    if (connection.principal !== asked) {
      await rereadRights(connection);
      return;
    }
    connection.principal = current;
    if (connection.session?.rescope(connection.principal) === true)
      connection.socket.emit('sync:reset', { reason: 'scope_changed' });
  } catch (error) {
    closeWith(connection, toAppError(error).code);
  }
}

function closeWith(connection: Connection, code: ErrorCode): void {
  const { socket } = connection;
  connection.closeReason = code;
  const error = new AppError(code);
  if (code === 'revoked' || code === 'token_expired') socket.emit('auth:revoked', { code });
  else socket.emit('sync:closing', { code, message: error.message });
  // nothing more reaches it, whatever is still queued
  connection.session?.close();
  socket.disconnect(true);
}
