import { authenticate as authenticateShape } from '../../protocol/chat.ts';
import type { Authenticate } from '../../protocol/chat.ts';
import { AppError, toWireError } from '../../protocol/errors.ts';
import { authRefresh } from '../../protocol/sync.ts';
import { hasScope } from '../auth/access.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { toAppError } from '../errors.ts';
import { requireOne } from '../sockets/answer.ts';
import { closeWith } from '../sockets/close.ts';
import { presentedBy, watchExpiry } from '../sockets/guards.ts';
import { createRights } from '../sockets/rights.ts';
import { parseMessage } from '../sync/messages.ts';
import { audience, principalAudience, requireAdmitted } from './connection.ts';
import type { Admitted, Connection } from './connection.ts';
import { requireChat } from './rooms.ts';

/** Wrong credentials a socket may present before it is cut off: what could not be judged does not count. */
const MAX_FAILURES = 5;

/** Presences told one by one to one who comes in; `status:list` has all of them in one answer. */
const MAX_TOLD = 500;

/**
 * Lets a connection in, by token or by password: answers `auth_success` or `auth_error`. A socket joins no room before.
 * One that is in already may authenticate again as the same principal, which renews its time.
 */
export async function authenticate(
  connection: Connection,
  bodies: readonly unknown[],
  ack?: (answer: unknown) => void,
): Promise<void> {
  const { socket, chat } = connection;
  let leave: (() => void) | undefined;
  try {
    leave = chat.deps.door.enter();
    const credentials = parseMessage(authenticateShape, requireOne(bodies));
    const { admitted } = connection;
    const principal = admitted
      ? await renew(connection, admitted, credentials)
      : await admit(connection, await identify(connection, credentials));
    const user = { id: principal.id, username: principal.name };
    socket.emit('auth_success', { message: `Welcome, ${principal.name}.`, user });
    ack?.({ ok: true, user });
  } catch (error) {
    const refusal = toAppError(error);
    if (refusal.code === 'internal') chat.deps.log.error({ err: refusal.cause }, 'authentication failed');
    chat.deps.metrics.refusals.inc({ code: refusal.code });
    const challenge = challengeOf(refusal);
    socket.emit('auth_error', { code: refusal.code, message: refusal.message, ...challenge });
    ack?.({ ok: false, error: { ...toWireError(refusal), ...challenge } });
    if (![401, 403].includes(refusal.status)) return;
    connection.failures += 1;
    if (connection.failures < MAX_FAILURES) return;
    connection.closeReason ||= 'too_many_tries';
    socket.disconnect(true);
    return;
  } finally {
    leave?.();
  }
  await welcome(connection).catch((error: unknown) =>
    // the next change and status:list make up for it
    chat.deps.log.warn({ err: error }, 'presence could not be told'),
  );
}

/** What is to be worked out before the next try, where the gateway has become suspicious (S30). */
function challengeOf({ details }: AppError): { challenge?: unknown } {
  const challenge = details.members?.['challenge'];
  return challenge === undefined ? {} : { challenge };
}

/** Exchanges the token of a connection that is in. Returns when the new one expires, ISO 8601. */
export async function refreshToken(connection: Connection, body: unknown): Promise<string> {
  const credentials = parseMessage(authRefresh, body);
  const { expiresAt } = await renew(connection, requireAdmitted(connection), credentials);
  return new Date(expiresAt).toISOString();
}

async function identify(connection: Connection, credentials: Authenticate): Promise<Principal> {
  const { deps } = connection.chat;
  const { ip } = connection;
  const { identity } = deps;
  const principal =
    'token' in credentials
      ? await identity.authenticate(credentials.token, presentedBy(identity, ip, credentials.dpop))
      : (await deps.login(credentials, { ip })).principal;
  requireChat(principal);
  return principal;
}

/** The rooms first, then the word that it is in: nothing is missed in between, and nothing heard before (S56). */
async function admit(connection: Connection, principal: Principal): Promise<Principal> {
  const { socket, chat } = connection;
  const expiry = watchExpiry(principal.expiresAt, {
    expiring: (at) => socket.emit('auth:expiring', { at }),
    expired: () => closeWith(connection, new AppError('token_expired')),
  });
  const nothing = (): void => undefined;
  const rights = createRights(principal, {
    current: (known) => chat.deps.identity.current(known),
    onChanged: requireStillChat,
    close: (error) => closeWith(connection, error),
  });
  const admitted = { rights, expiry, unfollow: nothing, unregister: nothing, present: undefined };
  connection.admitted = admitted;
  chat.metrics.sockets.inc();
  try {
    admitted.unregister = register(connection, admitted);
    // what changed before it was registered
    await rights.read();
    admitted.unfollow = await chat.delivery.follow(principal.tenantId);
    requireOpen(connection);
    await socket.join(principalAudience(principal));
    await chat.membership.settle(principal.tenantId, principalKey(principal));
    requireOpen(connection);
    return rights.principal;
  } catch (error) {
    // not in after all; where it was closed meanwhile, there is more to undo than its closing found
    release(connection, admitted);
    throw error;
  }
}

function requireOpen({ socket }: Connection): void {
  if (!socket.connected) throw new AppError('revoked');
}

/** One that may no longer chat goes, whatever its token says (S58). */
function requireStillChat(principal: Principal): void {
  if (!hasScope(principal, 'chat')) throw new AppError('revoked');
}

/** New credentials may be of another session of the same principal: the registry has to know whose end ends the socket. */
async function renew(
  connection: Connection,
  admitted: Admitted,
  credentials: Authenticate,
): Promise<Principal> {
  const { rights } = admitted;
  await rights.renew(() => identify(connection, credentials));
  // closed meanwhile: nothing would take it out of the registry again, or stop its timers
  requireOpen(connection);
  admitted.expiry.extend(rights.principal.expiresAt);
  admitted.unregister();
  admitted.unregister = register(connection, admitted);
  // what changed before it was registered under the new session
  await rights.reread();
  return rights.principal;
}

function register(connection: Connection, { rights }: Admitted): () => void {
  const { principal } = rights;
  return connection.chat.deps.identity.sockets.register({
    sessionId: principal.sessionId,
    principalKey: principalKey(principal),
    tenantId: principal.tenantId,
    close: (code) => closeWith(connection, new AppError(code)),
    changed: () => rights.changed(),
  });
}

/** Makes it present, and tells it who is. */
async function welcome(connection: Connection): Promise<void> {
  const { admitted, chat, socket } = connection;
  if (!admitted || !socket.connected) return;
  const { presence } = chat.deps;
  const { principal } = admitted.rights;
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
  admitted.unfollow();
  admitted.present?.();
  admitted.present = undefined;
}
