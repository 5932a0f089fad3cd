import type { Principal } from '../auth/principal.ts';
import { principalKey } from '../auth/principal.ts';
import type { Sql } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import { createCoalescer } from './coalesce.ts';
import { audience } from './connection.ts';
import type { ChatNamespace, ChatSocket } from './connection.ts';
import { findMemberships, GENERAL } from './rooms.ts';

/** Keeps the sockets of this node in the Socket.IO rooms that the table of members gives them. */
export interface Membership {
  /** Puts the principal's sockets into its rooms, and out of those it is no longer in; resolves when that is done. */
  settle(tenantId: number, principal: string): Promise<void>;
  /** The principal joined or left: settles here, and tells it and the other nodes. */
  changed(principal: Principal, room: string): Promise<void>;
  /** There is a new room: tells the tenant's people, here and on the other nodes. */
  created(tenantId: number, room: string): void;
  close(): void;
}

export interface MembershipDeps {
  db: { sql: Sql };
  hints: Hints;
  log: Logger;
}

interface RoomsHint {
  node: string;
  tenantId: number;
  room: string;
  /** Left out: everybody of the tenant is told. */
  principal?: string;
}

const POLL_MS = 10_000;

/** Starts it; the poll finds what a lost hint hid. */
export function startMembership(
  deps: MembershipDeps,
  namespace: ChatNamespace,
  options: { nodeId: string; pollMs?: number | undefined },
): Membership {
  const settleNow = createCoalescer<string>(async (key) => {
    const { tenantId, principal } = parseKey(key);
    const rooms = await findMemberships(deps.db.sql, tenantId, [principal]);
    for (const socket of socketsOf(namespace, tenantId, principal))
      moveTo(socket, tenantId, rooms.get(principal) ?? new Set());
  });
  const settle = (tenantId: number, principal: string): Promise<void> =>
    settleNow(formatKey(tenantId, principal));
  const tell = (tenantId: number, room: string, principal?: string): void => {
    const to = principal === undefined ? audience.tenant(tenantId) : audience.principal(tenantId, principal);
    namespace.local.to(to).emit('room:changed', { room });
  };
  const onFailure = (error: unknown): void =>
    deps.log.warn({ err: error }, 'memberships could not be read, trying again');
  const stopHints = deps.hints.subscribe('rooms', (body) => {
    const hint = JSON.parse(body) as RoomsHint;
    if (hint.node === options.nodeId) return;
    const settled = hint.principal === undefined ? Promise.resolve() : settle(hint.tenantId, hint.principal);
    settled.then(() => tell(hint.tenantId, hint.room, hint.principal)).catch(onFailure);
  });
  const timer = setInterval(() => {
    pollMemberships(deps.db.sql, namespace, settle).catch(onFailure);
  }, options.pollMs ?? POLL_MS);
  const publish = (hint: Omit<RoomsHint, 'node'>): void =>
    deps.hints.publish('rooms', JSON.stringify({ node: options.nodeId, ...hint }));
  return {
    settle,
    async changed({ tenantId, ...who }, room) {
      const principal = principalKey(who);
      publish({ tenantId, room, principal });
      await settle(tenantId, principal);
      tell(tenantId, room, principal);
    },
    created(tenantId, room) {
      publish({ tenantId, room });
      tell(tenantId, room);
    },
    close() {
      stopHints();
      clearInterval(timer);
    },
  };
}

/** This node's sockets of a principal. */
export function socketsOf(namespace: ChatNamespace, tenantId: number, principal: string): ChatSocket[] {
  const ids = namespace.adapter.rooms.get(audience.principal(tenantId, principal)) ?? new Set<string>();
  return [...ids].flatMap((id) => namespace.sockets.get(id) ?? []);
}

function moveTo(socket: ChatSocket, tenantId: number, rooms: ReadonlySet<string>): void {
  // a closed socket has been taken out of its rooms: joining would leave its name in them for ever
  if (!socket.connected) return;
  const wanted = new Set([GENERAL, ...rooms].map((room) => audience.room(tenantId, room)));
  for (const room of [...socket.rooms])
    if (room.startsWith(audience.room(tenantId, '')) && !wanted.has(room)) void socket.leave(room);
  void socket.join([...wanted]);
}

async function pollMemberships(
  sql: Sql,
  namespace: ChatNamespace,
  settle: Membership['settle'],
): Promise<void> {
  for (const [tenantId, principals] of connectedPrincipals(namespace)) {
    const memberships = await findMemberships(sql, tenantId, principals);
    for (const [principal, rooms] of memberships) {
      const differs = socketsOf(namespace, tenantId, principal).some(
        (socket) => !isIn(socket, tenantId, rooms),
      );
      if (differs) await settle(tenantId, principal);
    }
  }
}

function isIn(socket: ChatSocket, tenantId: number, rooms: ReadonlySet<string>): boolean {
  const joined = [...socket.rooms].filter((room) => room.startsWith(audience.room(tenantId, '')));
  return (
    joined.length === rooms.size + 1 &&
    [...rooms].every((room) => socket.rooms.has(audience.room(tenantId, room)))
  );
}

function connectedPrincipals(namespace: ChatNamespace): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const name of namespace.adapter.rooms.keys()) {
    if (!name.startsWith(PRINCIPAL)) continue;
    const { tenantId, principal } = parseKey(name.slice(PRINCIPAL.length));
    const principals = found.get(tenantId);
    if (principals) principals.push(principal);
    else found.set(tenantId, [principal]);
  }
  return found;
}

const PRINCIPAL = 'principal:';

function formatKey(tenantId: number, principal: string): string {
  return `${tenantId}:${principal}`;
}

function parseKey(key: string): { tenantId: number; principal: string } {
  const colon = key.indexOf(':');
  return { tenantId: Number(key.slice(0, colon)), principal: key.slice(colon + 1) };
}
