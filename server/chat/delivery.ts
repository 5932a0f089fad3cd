import type { Logger } from '../log.ts';
import type { LoggedChange } from '../sync/rows.ts';
import type { Sync } from '../sync/sync.ts';
import type { Segment } from '../sync/tail.ts';
import { audience } from './connection.ts';
import type { ChatNamespace } from './connection.ts';
import { socketsOf } from './membership.ts';
import { senderOf, toChatMessage } from './messages.ts';

/** Carries messages from the tenants' logs to the members' sockets of this node, in order, each once. */
export interface Delivery {
  /**
   * Follows the tenant's log from its present head at the latest; resolves when it does, with how to let go: the last one
   * who does so ends it.
   */
  follow(tenantId: number): Promise<() => void>;
  close(): void;
}

/**
 * The log is the only source: a message reaches its sender's other sockets, the same node and all other nodes by the one
 * way, so that all of them see one order (P3, P8).
 */
export function createDelivery(
  deps: { sync: Pick<Sync, 'follow'>; log: Logger },
  namespace: ChatNamespace,
): Delivery {
  const followed = new Map<number, Followed>();
  const start = async (tenantId: number): Promise<() => void> => {
    const feed = await deps.sync.follow(tenantId);
    return feed.listen((segment) => deliver(namespace, tenantId, segment));
  };
  return {
    async follow(tenantId) {
      const following = followed.get(tenantId) ?? { followers: new Set(), stop: start(tenantId) };
      followed.set(tenantId, following);
      const end = (): void => {
        if (followed.get(tenantId) === following) followed.delete(tenantId);
        stop(following);
      };
      const follower = Symbol('follower');
      following.followers.add(follower);
      try {
        await following.stop;
      } catch (error) {
        end();
        throw error;
      }
      return () => {
        if (following.followers.delete(follower) && following.followers.size === 0) end();
      };
    },
    close() {
      for (const following of followed.values()) stop(following);
      followed.clear();
    },
  };
}

interface Followed {
  followers: Set<symbol>;
  stop: Promise<() => void>;
}

function stop(following: Followed): void {
  following.stop.then(
    (end) => end(),
    () => undefined,
  );
}

function deliver(namespace: ChatNamespace, tenantId: number, segment: Segment): void {
  for (const change of segment.changes)
    if (change.collection === 'messages' && change.op === 'put' && change.data)
      emit(namespace, tenantId, { ...change, data: change.data });
}

function emit(
  namespace: ChatNamespace,
  tenantId: number,
  change: LoggedChange & { data: NonNullable<LoggedChange['data']> },
): void {
  const room = audience.room(tenantId, change.partition);
  const sender = senderOf(change.data);
  namespace.local
    .to(room)
    .except(audience.principal(tenantId, sender))
    .emit(
      'message',
      toChatMessage(change, () => false),
    );
  const own = toChatMessage(change, () => true);
  for (const socket of socketsOf(namespace, tenantId, sender))
    if (socket.rooms.has(room)) socket.emit('message', own);
}
