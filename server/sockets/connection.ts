import type { DefaultEventsMap, Namespace, Socket } from 'socket.io';
import type { SyncClientEvents, SyncServerEvents } from '../../protocol/events.ts';
import type { Principal } from '../auth/principal.ts';
import type { PresenceBoard } from '../chat/presence.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { SyncSession } from '../sync/hello.ts';
import type { Sync } from '../sync/sync.ts';
import type { Closing } from './close.ts';
import type { Door } from './door.ts';
import type { Doorkeeper, Pace, watchExpiry } from './guards.ts';
import type { Rights } from './rights.ts';

export interface SocketDeps {
  identity: Doorkeeper;
  sync: Sync;
  log: Logger;
  metrics: Metrics;
  /** Shows branch agents among those present. */
  presence?: Pick<PresenceBoard, 'connected'>;
  trustProxy: boolean;
  /** Shut while the gateway drains. */
  door: Door;
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
  rights: Rights;
  ip: string;
  session: SyncSession | undefined;
  /** A hello is being answered. */
  greeting: boolean;
  paces: { hello: Pace; subscribe: Pace; refresh: Pace };
  expiry: ReturnType<typeof watchExpiry>;
  unregister: () => void;
  /** Ends its presence. */
  leave: () => void;
  pushesInFlight: number;
  pushes: number;
  /** Entries of its inbox, as it said last. */
  inbox: number | undefined;
  sayClosing: (closing: Closing) => void;
  closeReason: string;
}
