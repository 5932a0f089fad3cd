import { authenticate as authenticateShape } from '../../protocol/chat.ts';
import type { Authenticate } from '../../protocol/chat.ts';
import { AppError, toWireError } from '../../protocol/errors.ts';
import { authRefresh } from '../../protocol/sync.ts';
import { hasScope } from '../auth/access.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { toAppError } from '../errors.ts';
import { watchExpiry } from '../sockets/guards.ts';
import { parseMessage } from '../sync/messages.ts';
import { audience, closeConnection, principalAudience } from './connection.ts';
import type { Admitted, Connection } from './connection.ts';
import { requireChat } from './rooms.ts';

/** Wrong credentials a socket may present before it is cut off. */
const MAX_FAILURES = 5;

/** Presences told one by one to one who comes in; `status:list` has all of them in one answer. */
const MAX_TOLD = 500;

/**
 * Lets a connection in, by token or by password: answers `auth_success` or `auth_error`. A socket joins no room before.
 * One that is in already may authenticate again as the same principal, which renews its time.
 */
export async function authenticate(connection: Connection, body: unknown, ack?: unknown): Promise<void> {
  const reply = typeof ack === 'function' ? (ack as (answer: unknown) => void) : () => undefined;
  const { socket, chat } = connection;
  try {
    const principal = await identify(connection, parseMessage(authenticateShape, body));
    await admit(connection, principal);
    const user = { id: principal.id, username: principal.name };
    socket.emit('auth_success', { message: `Welcome, ${principal.name}.`, user });
    reply({ ok: true, user });
  } catch (error) {
    const refusal = toAppError(error);
    if (refusal.code === 'internal') chat.deps.log.error({ err: refusal.cause }, 'authentication failed');
    chat.deps.metrics.refusals.inc({ code: refusal.code });
    socket.emit('auth_error', { code: refusal.code, message: refusal.message });
    reply({ ok: false, error: toWireError(refusal) });
    connection.failures += 1;
    if (connection.failures < MAX_FAILURES) return;
    connection.closeReason ||= 'too_many_tries';
    socket.disconnect(true);
    return;
  }
  await welcome(connection).catch((error: unknown) =>
    // the next change and status:list make up for it
    chat.deps.log.warn({ err: error }, 'presence could not be told'),
  );
}

/** Exchanges the token of a connection that is in. Returns when the new one expires, ISO 8601. */
export async function refreshToken(connection: Connection, body: unknown): Promise<string> {
  const { token } = parseMessage(authRefresh, body);
  if (!connection.admitted) throw new AppError('unauthenticated', { message: 'Authenticate first.' });
  const principal = await identify(connection, { token });
  await admit(connection, principal);
  return new Date(principal.expiresAt).toISOString();
}

async function identify(connection: Connection, credentials: Authenticate): Promise<Principal> {
  const { deps } = connection.chat;
  const { ip } = connection;
  const principal =
    'token' in credentials
      ? await deps.identity.authenticate(credentials.token, { ip })
      : (await deps.login(credentials.username, credentials.password, { ip })).principal;
  requireChat(principal);
  return principal;
}

/** The rooms first, then the word that it is in: nothing is missed in between, and nothing heard before (S56). */
async function admit(connection: Connection, principal: Principal): Promise<void> {
  const { socket, chat } = connection;
  const before = connection.admitted;
  if (before) {
    requireSame(before.principal, principal);
    renew(connection, before, principal);
    return;
  }
  const expiry = watchExpiry(principal.expiresAt, {
    expiring: (at) => socket.emit('auth:expiring', { at }),
    expired: () => closeConnection(connection, 'token_expired'),
  });
  const admitted: Admitted = { principal, expiry, unregister: () => undefined, present: undefined };
  connection.admitted = admitted;
  chat.metrics.sockets.inc();
  try {
    admitted.unregister = register(connection, admitted);
    await chat.delivery.follow(principal.tenantId);
    requireOpen(connection);
    await socket.join(principalAudience(principal));
    await chat.membership.settle(principal.tenantId, principalKey(principal));
    requireOpen(connection);
  } catch (error) {
    // not in after all; where it was closed meanwhile, there is more to undo than its closing found
    release(connection, admitted);
    throw error;
  }
}

function requireOpen({ socket }: Connection): void {
  if (!socket.connected) throw new AppError('revoked');
}

function requireSame(before: Principal, now: Principal): void {
  if (now.tenantId === before.tenantId && principalKey(now) === principalKey(before)) return;
  throw new AppError('forbidden', {
    message: 'The credentials are another principal’s: open a connection of its own.',
  });
}

/** A new token may be of another session of the same principal: the registry has to know whose end ends the socket. */
function renew(connection: Connection, admitted: Admitted, principal: Principal): void {
  const unregister = admitted.unregister;
  admitted.principal = principal;
  admitted.expiry.extend(principal.expiresAt);
  admitted.unregister = register(connection, admitted);
  unregister();
  requireOpen(connection);
}

function register(connection: Connection, admitted: Admitted): () => void {
  const { principal } = admitted;
  const { identity, log } = connection.chat.deps;
  return identity.sockets.register({
    sessionId: principal.sessionId,
    principalKey: principalKey(principal),
    tenantId: principal.tenantId,
    expiresAt: () => admitted.principal.expiresAt,
    close: (code) => closeConnection(connection, code),
    changed: () => {
      recheck(connection, admitted).catch((error: unknown) =>
        log.warn({ err: error }, 'rights could not be read again'),
      );
    },
  });
}

/** The principal's rights have changed: one that may no longer chat goes, whatever its token says (S58). */
async function recheck(connection: Connection, admitted: Admitted): Promise<void> {
  try {
    const current = await connection.chat.deps.identity.current(admitted.principal);
    if (!hasScope(current, 'chat')) closeConnection(connection, 'revoked');
  } catch (error) {
    if (!(error instanceof AppError) || error.retry === 'later') throw error;
    closeConnection(connection, 'revoked');
  }
}

/** Makes it present, and tells it who is. */
async function welcome(connection: Connection): Promise<void> {
  const { admitted, chat, socket } = connection;
  if (!admitted || !socket.connected) return;
  const { presence } = chat.deps;
  const { principal } = admitted;
  if (!admitted.present) {
    admitted.present = presence.connected(principal);
    void socket.join(audience.tenant(principal.tenantId));
    chat.watch(principal.tenantId);
  }
  const present = await presence.list(principal.tenantId);
  for (const one of present.slice(0, MAX_TOLD)) socket.emit('presence', one);
}

/** Undoes what admitting did. */
export function release(connection: Connection, admitted: Admitted): void {
  const { socket, chat } = connection;
  if (connection.admitted === admitted) {
    connection.admitted = undefined;
    chat.metrics.sockets.dec();
  }
  for (const room of [...socket.rooms]) if (room !== socket.id) void socket.leave(room);
  admitted.expiry.stop();
  admitted.unregister();
  admitted.present?.();
  admitted.present = undefined;
}
