import type { DefaultEventsMap, Namespace, Socket } from 'socket.io';
import type { SyncClientEvents, SyncServerEvents } from '../../protocol/events.ts';
import type { Principal } from '../auth/principal.ts';
import type { PresenceBoard } from '../chat/presence.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Sync, SyncSession } from '../sync/sync.ts';
import type { Doorkeeper, Pace } from './guards.ts';

export interface SocketDeps {
  identity: Doorkeeper;
  sync: Sync;
  log: Logger;
  metrics: Metrics;
  /** Shows branch agents among those present. */
  presence?: Pick<PresenceBoard, 'connected'>;
  trustProxy: boolean;
}

export type SyncSocket = Socket<SyncClientEvents, SyncServerEvents, DefaultEventsMap, SocketData>;
export type SyncNamespace = Namespace<SyncClientEvents, SyncServerEvents, DefaultEventsMap, SocketData>;

export interface SocketData {
  principal: Principal;
}

/** What one connection holds while it is open. */
export interface Connection {
  socket: SyncSocket;
  deps: SocketDeps;
  principal: Principal;
  ip: string;
  session: SyncSession | undefined;
  /** A hello is being answered. */
  greeting: boolean;
  paces: { hello: Pace; subscribe: Pace };
  /** The last push whose rights are being looked up: pushes reach the queue in the order they came in. */
  turn: Promise<unknown>;
  unregister: () => void;
  /** Ends its presence. */
  leave: () => void;
  pushesInFlight: number;
  pushes: number;
  closeReason: string;
}
