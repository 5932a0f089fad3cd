import type { Server } from 'socket.io';
import { AppError } from '../protocol/errors.ts';
import { principalKey } from './auth/principal.ts';
import { toAppError } from './errors.ts';
import { closeWith } from './sockets/close.ts';
import type { Connection, SocketDeps, SyncNamespace, SyncSocket } from './sockets/connection.ts';
import { stopping } from './sockets/door.ts';
import type { Served } from './sockets/drain.ts';
import { clientAddress, createPace, REFRESH_PACE, watchExpiry } from './sockets/guards.ts';
import { authenticateHandshake, toConnectError } from './sockets/handshake.ts';
import { admitLargeMessages, guardIntake } from './sockets/intake.ts';
import { createRights } from './sockets/rights.ts';
import { listen, register } from './sockets/sync-events.ts';
import { showTenants } from './sync/metrics.ts';

/** What costs the database more than an event does has a pace of its own; what goes over it is refused, no more. */
const HELLO_PACE = { perSecond: 2, burst: 10 };
const SUBSCRIBE_PACE = { perSecond: 5, burst: 20 };
/** Every event together. Whoever is over it is cut off. */
const TOTAL_PACE = { perSecond: 2_000, burst: 4_000 };

/** Serves the namespace `/sync`: authenticates the handshake, then serves the event table. */
export function serveSync(io: Server, deps: SocketDeps): Served {
  guardIntake(io, deps);
  showTenants(deps.metrics.registry, deps.sync);
  const open = new Set<Connection>();
  const namespace = io.of('/sync') as unknown as SyncNamespace;
  namespace.use((socket, next) => {
    authenticate(socket, deps).then(
      () => next(),
      (error: unknown) => next(toConnectError(toAppError(error))),
    );
  });
  namespace.on('connection', (socket) => {
    const connection = serve(socket, deps);
    if (socket.disconnected) return;
    open.add(connection);
    socket.on('disconnect', () => void open.delete(connection));
  });
  return {
    partings: () =>
      new Map(
        [...open].map((connection) => [connection.socket.conn, () => closeWith(connection, stopping())]),
      ),
  };
}

async function authenticate(socket: SyncSocket, deps: SocketDeps): Promise<void> {
  const { handshake } = socket;
  let leave: (() => void) | undefined;
  try {
    leave = deps.door.enter();
    socket.data.principal = await authenticateHandshake(handshake, deps);
    // shut meanwhile
    if (!deps.door.isOpen) throw stopping();
    admitLargeMessages(socket.conn);
  } finally {
    // Socket.IO answers in a tick of its own: until then it counts as inside
    if (leave) setImmediate(leave);
    // Socket.IO would keep what was sent, whatever it was, for as long as the connection lasts
    handshake.auth = {};
  }
}

function serve(socket: SyncSocket, deps: SocketDeps): Connection {
  const { principal } = socket.data;
  const connection: Connection = {
    socket,
    deps,
    rights: createRights(principal, {
      current: (known) => deps.identity.current(known),
      onChanged(now) {
        if (connection.session?.rescope(now) === true) socket.emit('sync:reset', { reason: 'scope_changed' });
      },
      close: (error) => closeWith(connection, error),
    }),
    ip: clientAddress(socket.handshake, deps.trustProxy),
    session: undefined,
    greeting: false,
    paces: {
      hello: createPace(HELLO_PACE),
      subscribe: createPace(SUBSCRIBE_PACE),
      refresh: createPace(REFRESH_PACE),
    },
    expiry: watchExpiry(principal.expiresAt, {
      expiring: (at) => socket.emit('auth:expiring', { at }),
      expired: () => closeWith(connection, new AppError('token_expired')),
    }),
    unregister: () => undefined,
    leave: () => undefined,
    pushesInFlight: 0,
    pushes: 0,
    inbox: undefined,
    sayClosing: (closing) => void socket.emit('sync:closing', closing),
    closeReason: '',
  };
  deps.metrics.syncSockets.inc();
  closeTogether(connection);
  const pace = createPace(TOTAL_PACE);
  socket.use((_packet, next) => {
    if (pace.take()) next();
    else next(new AppError('rate_limited', { retryAfterMs: 1_000 }));
  });
  // Socket.IO hands middleware refusals and packets that do not parse to this event: the sender is cut off, the others
  // go on. A client may also send an event of this name, with no Error in it
  socket.on('error', (error: unknown) => {
    if (error instanceof Error)
      closeWith(connection, error instanceof AppError ? error : new AppError('invalid_message'));
  });
  listen(connection);
  register(connection);
  return connection;
}

function closeTogether(connection: Connection): void {
  const { socket, deps, rights } = connection;
  const started = Date.now();
  socket.on('disconnect', (reason) => {
    connection.unregister();
    connection.leave();
    connection.expiry.stop();
    connection.session?.close();
    deps.metrics.syncSockets.dec();
    deps.log.info(
      {
        principal: principalKey(rights.principal),
        tenantId: rights.principal.tenantId,
        ip: connection.ip,
        clientId: connection.session?.clientId,
        reason: connection.closeReason || reason,
        pushes: connection.pushes,
        seconds: Math.round((Date.now() - started) / 1_000),
      },
      'sync connection closed',
    );
  });
}
