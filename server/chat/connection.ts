import type { DefaultEventsMap, Namespace, Socket } from 'socket.io';
import { AppError } from '../../protocol/errors.ts';
import type { ChatClientEvents, ChatServerEvents } from '../../protocol/events.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Database } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Closing } from '../sockets/close.ts';
import type { Door } from '../sockets/door.ts';
import type { Doorkeeper, watchExpiry } from '../sockets/guards.ts';
import type { Rights } from '../sockets/rights.ts';
import type { Sync } from '../sync/sync.ts';
import type { Delivery } from './delivery.ts';
import type { Membership } from './membership.ts';
import type { ChatMetrics } from './metrics.ts';
import type { PresenceBoard } from './presence.ts';

/** A name and a password, and the tenant they belong to; left out: where people sign up. */
export interface PasswordLogin {
  username: string;
  password: string;
  tenantId?: number | undefined;
  /** The solution of a challenge, when one was asked for. */
  altcha?: string | undefined;
}

/** What the app hands to chat. */
export interface ChatDeps {
  identity: Doorkeeper;
  /** Logs a person in by password, with identity's own limits and audit. Throws AppError as the login page's route does. */
  login(credentials: PasswordLogin, from: { ip: string }): Promise<{ principal: Principal }>;
  sync: Sync;
  db: Database;
  hints: Hints;
  presence: PresenceBoard;
  log: Logger;
  metrics: Metrics;
  trustProxy: boolean;
  /** Shut while the gateway drains. */
  door: Door;
  /** For tests: milliseconds to authenticate in (left out: as the contract says). */
  authenticateWithinMs?: number | undefined;
  /** For tests: how often memberships are read again, whatever the hints say. */
  membershipPollMs?: number | undefined;
}

export type ChatSocket = Socket<ChatClientEvents, ChatServerEvents, DefaultEventsMap, unknown>;
export type ChatNamespace = Namespace<ChatClientEvents, ChatServerEvents, DefaultEventsMap, unknown>;

/** What every connection of the namespace shares. */
export interface Chat {
  deps: ChatDeps;
  namespace: ChatNamespace;
  nodeId: string;
  membership: Membership;
  delivery: Delivery;
  metrics: ChatMetrics;
  /** Carries the tenant's presence to its people on this node, from now on. */
  watch(tenantId: number): void;
  /** Stops it when the last of them has gone. */
  unwatchIfEmpty(tenantId: number): void;
}

/** What one connection holds while it is open. */
export interface Connection {
  chat: Chat;
  socket: ChatSocket;
  ip: string;
  /** Set from when its credentials have been found good until it is closed. */
  admitted: Admitted | undefined;
  /** Wrong credentials so far. */
  failures: number;
  /** Events whose order counts run one after the other. */
  order: Promise<unknown>;
  messagesInFlight: number;
  messages: number;
  sayClosing: (closing: Closing) => void;
  closeReason: string;
}

export interface Admitted {
  rights: Rights;
  expiry: ReturnType<typeof watchExpiry>;
  /** Lets go of the tenant's log, once it follows it. */
  unfollow: () => void;
  /** Takes the socket out of identity's registry. */
  unregister: () => void;
  /** Ends its presence, once it has one. */
  present: (() => void) | undefined;
}

/** Throws AppError `unauthenticated`. */
export function requireAdmitted({ admitted }: Connection): Admitted {
  if (!admitted) throw new AppError('unauthenticated', { message: 'Authenticate first.' });
  return admitted;
}

/** The caller, with the rights it has now (S58). Throws AppError `unauthenticated` or `revoked`. */
export async function requirePrincipal(connection: Connection): Promise<Principal> {
  return await requireAdmitted(connection).rights.read();
}

/** Names of the rooms inside Socket.IO: who is meant, never who may. */
export const audience = {
  tenant: (tenantId: number): string => `tenant:${tenantId}`,
  principal: (tenantId: number, principal: string): string => `principal:${tenantId}:${principal}`,
  room: (tenantId: number, room: string): string => `room:${tenantId}:${room}`,
};

export function principalAudience(principal: Principal): string {
  return audience.principal(principal.tenantId, principalKey(principal));
}
