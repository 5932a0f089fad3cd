import { randomUUID } from 'node:crypto';
import type { Server } from 'socket.io';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { principalKey } from '../auth/principal.ts';
import { closeWith } from '../sockets/close.ts';
import type { Served } from '../sockets/drain.ts';
import { clientAddress } from '../sockets/guards.ts';
import { authenticate, release } from './admission.ts';
import { audience } from './connection.ts';
import type { Chat, ChatDeps, ChatNamespace, ChatSocket, Connection } from './connection.ts';
import { createDelivery } from './delivery.ts';
import { listen, relayTyping } from './events.ts';
import { startMembership } from './membership.ts';
import { createChatMetrics } from './metrics.ts';

/** The namespace `/` while it is served. */
export interface ChatSockets extends Served {
  close(): void;
}

/** Serves chat and status on the namespace `/`. Close it before the server, the sync core and presence. */
export function serveChat(io: Server, deps: ChatDeps): ChatSockets {
  const namespace = io.of('/') as unknown as ChatNamespace;
  const nodeId = randomUUID();
  const watches = new Map<number, () => void>();
  const chat: Chat = {
    deps,
    namespace,
    nodeId,
    membership: startMembership(deps, namespace, { nodeId, pollMs: deps.membershipPollMs }),
    delivery: createDelivery(deps, namespace),
    metrics: createChatMetrics(deps.metrics.registry),
    watch(tenantId) {
      if (!watches.has(tenantId)) watches.set(tenantId, watchPresence(deps, namespace, tenantId));
    },
    unwatchIfEmpty(tenantId) {
      if (namespace.adapter.rooms.has(audience.tenant(tenantId))) return;
      watches.get(tenantId)?.();
      watches.delete(tenantId);
    },
  };
  const stopTyping = relayTyping(chat);
  namespace.on('connection', (socket) => serve(chat, socket));
  return {
    partings: () =>
      new Map(
        [...namespace.sockets.values()].map((socket) => [socket.conn, () => void socket.disconnect(true)]),
      ),
    close() {
      stopTyping();
      chat.membership.close();
      chat.delivery.close();
      for (const stop of watches.values()) stop();
    },
  };
}

function watchPresence(deps: ChatDeps, namespace: ChatNamespace, tenantId: number): () => void {
  return deps.presence.watch(tenantId, (one) =>
    namespace.local.to(audience.tenant(tenantId)).emit('presence', one),
  );
}

function serve(chat: Chat, socket: ChatSocket): void {
  const connection: Connection = {
    chat,
    socket,
    ip: clientAddress(socket.handshake, chat.deps.trustProxy),
    admitted: undefined,
    failures: 0,
    order: Promise.resolve(),
    messagesInFlight: 0,
    messages: 0,
    sayClosing: ({ code, message }) => void socket.emit('auth_error', { code, message }),
    closeReason: '',
  };
  const withinMs = chat.deps.authenticateWithinMs ?? LIMITS.authenticateWithinMs;
  const deadline = setTimeout(() => {
    if (!connection.admitted) closeWith(connection, new AppError('unauthenticated'));
  }, withinMs);
  closeTogether(connection, deadline);
  listen(connection);
  socket.emit('connected', {
    sid: socket.id,
    serverTime: new Date().toISOString(),
    authenticateWithinMs: withinMs,
  });
  const { token, dpop } = socket.handshake.auth as { token?: unknown; dpop?: unknown };
  if (token !== undefined && token !== null && token !== '')
    connection.order = authenticate(connection, [{ token, dpop }]);
}

function closeTogether(connection: Connection, deadline: NodeJS.Timeout): void {
  const { socket, chat, ip } = connection;
  const started = Date.now();
  socket.on('disconnect', (reason) => {
    clearTimeout(deadline);
    const { admitted } = connection;
    const principal = admitted?.rights.principal;
    if (admitted) {
      release(connection, admitted);
      chat.unwatchIfEmpty(admitted.rights.principal.tenantId);
    }
    chat.deps.log.info(
      {
        ...(principal ? { principal: principalKey(principal), tenantId: principal.tenantId } : {}),
        ip,
        reason: connection.closeReason || reason,
        messages: connection.messages,
        seconds: Math.round((Date.now() - started) / 1_000),
      },
      'chat connection closed',
    );
  });
}
