import { createPrincipalIndex } from './principal-index.ts';

/** One open socket, as the registry knows it. */
export interface LiveSocket {
  sessionId: string;
  /** `kind:id`, see `principalKey`. */
  principalKey: string;
  tenantId: number;
  /** Tells the client and disconnects it. Called at most once. */
  close(code: 'revoked'): void;
  /** The principal's rights have changed: they are to be read again (S58). */
  changed?(): void;
}

/** Which sockets belong to which session, so that ending the session ends them. */
export interface LiveSockets {
  /**
   * Adds a socket; returns how to remove it. Register before telling the client that it is in: a session that was revoked
   * in between closes the socket here (S56).
   */
  register(socket: LiveSocket): () => void;
  /** Open sockets of a session, on this node. */
  countOf(sessionId: string): number;
  readonly size: number;
}

export interface SocketRegistry extends LiveSockets {
  /** Returns how many it closed. */
  closeSession(sessionId: string): number;
  principalChanged(tenantId: number, principalKey: string): void;
  /** What counts for every principal of a tenant has changed. */
  tenantChanged(tenantId: number): void;
}

export function createSocketRegistry(isRevoked: (sessionId: string) => boolean): SocketRegistry {
  const bySession = new Map<string, Set<LiveSocket>>();
  const byPrincipal = createPrincipalIndex<LiveSocket>();
  let size = 0;
  const remove = (socket: LiveSocket): boolean => {
    const sockets = bySession.get(socket.sessionId);
    if (sockets?.delete(socket) !== true) return false;
    size -= 1;
    byPrincipal.remove(socket.tenantId, socket.principalKey, socket);
    if (sockets.size === 0) bySession.delete(socket.sessionId);
    return true;
  };
  const close = (socket: LiveSocket): void => {
    if (remove(socket)) socket.close('revoked');
  };
  return {
    get size() {
      return size;
    },
    register(socket) {
      const sockets = bySession.get(socket.sessionId) ?? new Set();
      bySession.set(socket.sessionId, sockets.add(socket));
      byPrincipal.add(socket.tenantId, socket.principalKey, socket);
      size += 1;
      if (isRevoked(socket.sessionId)) close(socket);
      return () => void remove(socket);
    },
    countOf: (sessionId) => bySession.get(sessionId)?.size ?? 0,
    closeSession(sessionId) {
      const sockets = [...(bySession.get(sessionId) ?? [])];
      for (const socket of sockets) close(socket);
      return sockets.length;
    },
    principalChanged: (tenantId, key) =>
      byPrincipal.of(tenantId, key).forEach((socket) => socket.changed?.()),
    tenantChanged: (tenantId) =>
      [...bySession.values()]
        .flatMap((sockets) => [...sockets])
        .filter((socket) => socket.tenantId === tenantId)
        .forEach((socket) => socket.changed?.()),
  };
}
