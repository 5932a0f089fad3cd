import type { Server } from 'socket.io';

interface EngineConnection {
  close(discard: boolean): void;
  readyState: string;
  writeBuffer: Queued[];
  transport: { writable: boolean; socket?: { terminate?(): void } };
  on(event: 'drain' | 'close', listener: () => void): unknown;
}

interface Queued {
  data?: unknown;
}

/** What a stalled reader may keep waiting before it is cut off. */
const STALL_MS = 5_000;
const QUEUED_PACKETS = 4_096;
const QUEUED_BYTES = 4 * 1024 * 1024;

/**
 * Cuts off connections whose reader has stalled: Socket.IO's own send queue is unbounded and `bufferedAmount` reads 0,
 * so the time since the last drain and the packets queued are what tells (P6). They resume later from their cursor.
 */
export function watchStalls(io: Server, onStalled: () => void, checkMs = 1_000): () => void {
  const lastDrain = new Map<EngineConnection, number>();
  io.engine.on('connection', (connection: EngineConnection) => {
    lastDrain.set(connection, performance.now());
    connection.on('drain', () => lastDrain.set(connection, performance.now()));
    connection.on('close', () => lastDrain.delete(connection));
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [connection, drained] of lastDrain) {
      const waiting = connection.writeBuffer.length > 0 || !connection.transport.writable;
      if (!waiting) lastDrain.set(connection, now);
      else if (now - drained > STALL_MS || isOverfull(connection)) {
        onStalled();
        const { socket } = connection.transport;
        connection.close(true);
        // a closing handshake that nobody reads would hold what is queued for another 30 s
        socket?.terminate?.();
      }
    }
  }, checkMs);
  return () => clearInterval(timer);
}

/** Whether more is waiting to be written than a reader may leave unread: then nothing is answered at length (P6). */
export function isOverfull({ writeBuffer }: Pick<EngineConnection, 'writeBuffer'>): boolean {
  if (writeBuffer.length > QUEUED_PACKETS) return true;
  let bytes = 0;
  for (const { data } of writeBuffer) {
    bytes += typeof data === 'string' || Buffer.isBuffer(data) ? data.length : 0;
    if (bytes > QUEUED_BYTES) return true;
  }
  return false;
}
