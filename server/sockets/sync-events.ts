import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import * as wire from '../../protocol/sync.ts';
import { principalKey } from '../auth/principal.ts';
import { parseMessage } from '../sync/messages.ts';
import type { SyncSession } from '../sync/hello.ts';
import { answerWith, readArguments, refuseOthers, requireOne } from './answer.ts';
import { closeWith } from './close.ts';
import type { Connection } from './connection.ts';
import { isOverfull } from './stall-watch.ts';
import { frameSink } from './frame-sink.ts';
import { presentedBy, requirePace } from './guards.ts';

/** The events of `/sync`, and what each does. A handler throws AppError for a refusal; what it returns is the answer. */

type Writable = Parameters<typeof isOverfull>[0];

/** Pushes one socket may have waiting for their verdict. */
const PUSHES_IN_FLIGHT = 256;

type Handler = (connection: Connection, body: unknown) => Promise<object>;

/** The event table. */
const HANDLERS = {
  'sync:hello': hello,
  'sync:push': push,
  'sync:subscribe': subscribe,
  'sync:unsubscribe': unsubscribe,
  'sync:ack': acknowledge,
  'sync:report': report,
  'auth:refresh': refresh,
} satisfies Record<string, Handler>;

type Event = keyof typeof HANDLERS;
const EVENTS: ReadonlySet<string> = new Set(Object.keys(HANDLERS));

/** Serves the event table on one connection. */
export function listen(connection: Connection): void {
  const { socket } = connection;
  for (const event of EVENTS as ReadonlySet<Event>)
    socket.on(event, (...args: unknown[]) => void handle(connection, event, args));
  refuseOthers(socket, EVENTS);
}

async function handle(connection: Connection, event: Event, args: readonly unknown[]): Promise<void> {
  const { bodies, ack } = readArguments<object>(args);
  const { log, metrics, door } = connection.deps;
  const asked = { log, metrics, principal: principalKey(connection.rights.principal) };
  // what was sent may be acknowledged to the last
  const entry = event === 'sync:ack' ? undefined : door;
  const handler: Handler = HANDLERS[event];
  const answered = await answerWith(
    { ...asked, door: entry },
    ack,
    async () => await handler(connection, requireOne(bodies)),
  );
  // no frame before the answer
  if (event === 'sync:hello' && answered && connection.socket.connected) connection.session?.start();
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

function requireFirst({ session, greeting }: Connection): void {
  if (session || greeting)
    throw new AppError('invalid_message', { message: 'Hello was said on this connection.' });
}

/** Hellos that are begun anew because the rights changed meanwhile. */
const GREETINGS = 4;

async function greet(connection: Connection, message: wire.Hello): Promise<wire.HelloReply> {
  const { deps, rights } = connection;
  for (let attempt = 1; attempt <= GREETINGS; attempt += 1) {
    const session = await open(connection, message);
    if (session === undefined) continue;
    connection.session = session;
    connection.inbox = message.app?.inbox;
    if (rights.principal.kind === 'client' && deps.presence) {
      connection.leave = deps.presence.connected(rights.principal, () => ({
        queue: queueOf(connection, message.app?.queue),
        lag: session.lag,
        inbox: connection.inbox,
      }));
    }
    return session.reply;
  }
  const again = { message: 'Your rights are changing: say hello again.', retryAfterMs: 500 };
  throw new AppError('busy', again);
}

/** Opens a session with the rights as they are; undefined when they changed meanwhile, for it must begin with what it may see. */
async function open(connection: Connection, message: wire.Hello): Promise<SyncSession | undefined> {
  const { deps, ip, rights, socket } = connection;
  const principal = await rights.read();
  const { changes } = rights;
  const session = await deps.sync.hello(
    { principal, ip },
    message,
    frameSink(socket, () => closeWith(connection, new AppError('unavailable'))),
  );
  const isCurrent = rights.changes === changes && rights.principal === principal;
  if (isCurrent && socket.connected) return session;
  session.close();
  if (socket.connected) return undefined;
  throw new AppError('busy', { message: 'The connection has ended.' });
}

/** What its outbox holds, as far as can be told from here: what it said at hello, less what has come since. */
function queueOf({ pushes, pushesInFlight }: Connection, atHello: number | undefined): number | undefined {
  return atHello === undefined ? undefined : Math.max(0, atHello - pushes) + pushesInFlight;
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
    // so that a demotion takes effect at the next event (P7)
    const principal = await connection.rights.read();
    const isAlive = (): boolean => connection.closeReason === '';
    const verdict = await deps.sync.push({ principal, clientId, incarnation, ip, isAlive }, batch);
    connection.pushes += 1;
    deps.metrics.pushes.inc();
    return verdict;
  } finally {
    connection.pushesInFlight -= 1;
  }
}

async function subscribe(connection: Connection, body: unknown): Promise<{ ok: true }> {
  return await resubscribe(connection, body, (request, others) => {
    if (others.length >= LIMITS.subscriptions)
      throw new AppError('invalid_message', { message: `At most ${LIMITS.subscriptions} subscriptions.` });
    return [...others, request];
  });
}

async function unsubscribe(connection: Connection, body: unknown): Promise<{ ok: true }> {
  return await resubscribe(connection, body, (_request, others) => others);
}

async function resubscribe(
  connection: Connection,
  body: unknown,
  choose: (request: wire.Subscription, others: wire.Subscription[]) => wire.Subscription[],
): Promise<{ ok: true }> {
  const { session, socket } = connection;
  if (!session) throw new AppError('hello_required');
  requirePace(connection.paces.subscribe, 1_000);
  const request = parseMessage(wire.subscription, body);
  const principal = await connection.rights.read();
  const others = session.requested.filter(({ collection }) => collection !== request.collection);
  session.subscribe(principal, choose(request, others));
  socket.emit('sync:reset', { reason: 'scope_changed' });
  return { ok: true };
}

/** Frees credits. Nothing comes back, and what is no acknowledgement frees nothing, unless the client asks. */
function acknowledge(connection: Connection, body: unknown): Promise<{ ok: true }> {
  connection.session?.acknowledge(parseMessage(wire.syncAck, body));
  return Promise.resolve({ ok: true });
}

/** Shown with the next renewal of its presence. */
function report(connection: Connection, body: unknown): Promise<{ ok: true }> {
  if (!connection.session) throw new AppError('hello_required');
  connection.inbox = parseMessage(wire.syncReport, body).inbox;
  return Promise.resolve({ ok: true });
}

/** Takes a new token of the same principal: from now on its session is the one whose end ends the socket. */
async function refresh(connection: Connection, body: unknown): Promise<{ ok: true; expiresAt: string }> {
  requirePace(connection.paces.refresh, 1_000);
  const { token, dpop } = parseMessage(wire.authRefresh, body);
  const { deps, ip, rights } = connection;
  const { identity } = deps;
  await rights.renew(() => identity.authenticate(token, presentedBy(identity, ip, dpop)));
  // closed meanwhile: nothing would take it out of the registry again, or stop its timers
  if (connection.socket.disconnected) throw new AppError('revoked');
  const { expiresAt } = rights.principal;
  connection.expiry.extend(expiresAt);
  register(connection);
  // what changed before it was registered under the new session
  await rights.reread();
  return { ok: true, expiresAt: new Date(expiresAt).toISOString() };
}

/** Comes last: a session that was revoked meanwhile closes the socket here and now (S56). */
export function register(connection: Connection): void {
  const { rights, deps } = connection;
  const { principal } = rights;
  connection.unregister();
  connection.unregister = deps.identity.sockets.register({
    sessionId: principal.sessionId,
    principalKey: principalKey(principal),
    tenantId: principal.tenantId,
    close: (code) => closeWith(connection, new AppError(code)),
    changed: () => rights.changed(),
  });
}
