import type { Server } from 'socket.io';

interface EngineConnection {
  close(discard: boolean): void;
  readyState: string;
  writeBuffer: unknown[];
  transport: { writable: boolean };
  on(event: 'drain' | 'close', listener: () => void): unknown;
}

/** What a stalled reader may keep waiting before it is cut off. */
const STALL_MS = 5_000;
const QUEUED_PACKETS = 4_096;

/**
 * Cuts off connections whose reader has stalled: Socket.IO's own send queue is unbounded and `bufferedAmount` reads 0,
 * so the time since the last drain and the packets queued are what tells (P6). They resume later from their cursor.
 */
export function watchDrain(io: Server, onStalled: () => void, checkMs = 1_000): () => void {
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
      else if (now - drained > STALL_MS || connection.writeBuffer.length > QUEUED_PACKETS) {
        onStalled();
        connection.close(true);
      }
    }
  }, checkMs);
  return () => clearInterval(timer);
}
