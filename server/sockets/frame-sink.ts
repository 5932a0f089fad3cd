import type { Delta, Snapshot } from '../../protocol/sync.ts';
import type { FrameSink } from '../sync/subscriber.ts';

interface FrameSocket {
  emit(event: 'sync:delta', frame: Delta): unknown;
  emit(event: 'sync:snapshot', frame: Snapshot): unknown;
  join(room: string): unknown;
  leave(room: string): unknown;
}

/** A socket as delivery sees it; `end` closes it, with the reason. */
export function frameSink(socket: FrameSocket, end: () => void): FrameSink {
  return {
    sendDelta: (frame) => void socket.emit('sync:delta', frame),
    sendSnapshot: (frame) => void socket.emit('sync:snapshot', frame),
    joinRoom: (room) => void socket.join(room),
    end,
    leaveRoom: (room) => void socket.leave(room),
  };
}
