import type {
  ChatMessage,
  Presence,
  RoomHistoryAck,
  RoomListAck,
  SendMessageAck,
  StatusListAck,
} from './chat.ts';
import type { AuthRefreshAck, Closing, Delta, HelloAck, OkAck, PushAck, Reset, Snapshot } from './sync.ts';

/** Both typed Socket.IO event maps. Arguments that come from the peer are `unknown`: they are parsed at the edge. */

type Ack<T> = (answer: T) => void;

export interface SyncClientEvents {
  'sync:hello': (body: unknown, ack: Ack<HelloAck>) => void;
  'sync:push': (body: unknown, ack: Ack<PushAck>) => void;
  'sync:ack': (body: unknown) => void;
  'sync:report': (body: unknown) => void;
  'sync:subscribe': (body: unknown, ack: Ack<OkAck>) => void;
  'sync:unsubscribe': (body: unknown, ack: Ack<OkAck>) => void;
  'auth:refresh': (body: unknown, ack: Ack<AuthRefreshAck>) => void;
}

export interface SyncServerEvents {
  'sync:delta': (frame: Delta) => void;
  'sync:snapshot': (frame: Snapshot) => void;
  'sync:reset': (body: Reset) => void;
  'sync:closing': (body: Closing) => void;
  'auth:expiring': (body: { at: string }) => void;
  'auth:revoked': (body: { code: string }) => void;
}

export interface ChatClientEvents {
  authenticate: (body: unknown, ack?: Ack<unknown>) => void;
  'auth:refresh': (body: unknown, ack: Ack<AuthRefreshAck>) => void;
  message: (body: unknown, ack: Ack<SendMessageAck>) => void;
  'room:list': (body: unknown, ack: Ack<RoomListAck>) => void;
  'room:create': (body: unknown, ack: Ack<OkAck>) => void;
  'room:join': (body: unknown, ack: Ack<OkAck>) => void;
  'room:leave': (body: unknown, ack: Ack<OkAck>) => void;
  'room:history': (body: unknown, ack: Ack<RoomHistoryAck>) => void;
  typing: (body: unknown) => void;
  read: (body: unknown, ack: Ack<OkAck>) => void;
  'status:set': (body: unknown, ack: Ack<OkAck>) => void;
  'status:list': (body: unknown, ack: Ack<StatusListAck>) => void;
}

export interface ChatServerEvents {
  connected: (body: { sid: string; serverTime: string; authenticateWithinMs: number }) => void;
  auth_success: (body: { message: string; user: { id: string; username: string } }) => void;
  /** `challenge`: with `proof_of_work_required`, what to work out. */
  auth_error: (body: { code: string; message: string; challenge?: unknown }) => void;
  message: (body: ChatMessage) => void;
  presence: (body: Presence) => void;
  typing: (body: { room: string; from: { id: string; username: string } }) => void;
  'room:changed': (body: { room: string }) => void;
  /** A terminal near this page waits for its person; `scopes` null: it named none. */
  'device:request': (body: { user_code: string; client: string; scopes: string[] | null }) => void;
  'auth:expiring': (body: { at: string }) => void;
  'auth:revoked': (body: { code: string }) => void;
}
