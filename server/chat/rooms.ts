import type { Room } from '../../protocol/chat.ts';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import { hasScope } from '../auth/access.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Database, Sql } from '../db.ts';

/** Rooms and who is in them. Every function checks for itself that the caller may. */

/** In every tenant without a row of its own; whoever has the scope `chat` is in it and cannot leave it. */
export const GENERAL = 'general';

const MAX_ROOMS = 1_000;
const MAX_MEMBERSHIPS = 500;

export interface RoomDeps {
  db: Pick<Database, 'sql' | 'transaction'>;
}

/** Throws AppError `forbidden` unless the principal may chat at all. */
export function requireChat(principal: Principal): void {
  if (!hasScope(principal, 'chat'))
    throw new AppError('forbidden', { message: 'Chat needs the scope chat.' });
}

/** Throws AppError `forbidden` unless the principal is in the room; the same for a room that is not there. */
export async function requireMember(sql: Sql, principal: Principal, room: string): Promise<void> {
  requireChat(principal);
  if (room === GENERAL) return;
  const [row] = await sql(
    'SELECT 1 FROM room_members WHERE tenant_id = $1 AND room = $2 AND principal = $3',
    [principal.tenantId, room, principalKey(principal)],
  );
  if (!row) throw new AppError('forbidden', { message: 'You are not a member of that room.' });
}

/** The rooms of many principals of one tenant, `general` left out. */
export async function findMemberships(
  sql: Sql,
  tenantId: number,
  principals: readonly string[],
): Promise<Map<string, Set<string>>> {
  const rows = await sql<{ principal: string; room: string }>(
    'SELECT principal, room FROM room_members WHERE tenant_id = $1 AND principal = ANY($2) AND room <> $3',
    [tenantId, principals, GENERAL],
  );
  const found = new Map(principals.map((principal) => [principal, new Set<string>()]));
  for (const { principal, room } of rows) found.get(principal)?.add(room);
  return found;
}

const LIST = `WITH known AS (
    SELECT $3 AS name, 'General' AS title, false AS private
    UNION ALL SELECT name, title, private FROM rooms WHERE tenant_id = $1
  )
  SELECT r.name, r.title, r.name = $3 OR m.principal IS NOT NULL AS member, c.last, m.read_seq
  FROM known r
  LEFT JOIN room_members m ON m.tenant_id = $1 AND m.room = r.name AND m.principal = $2
  LEFT JOIN partition_counters c ON c.tenant_id = $1 AND c.collection = 'messages' AND c.partition = r.name
  WHERE NOT r.private OR m.principal IS NOT NULL
  ORDER BY r.name <> $3, r.name`;

interface ListedRow {
  name: string;
  title: string;
  member: boolean;
  last: number | null;
  read_seq: number | null;
}

/** The rooms the principal is in or may join, `general` first. Of others than its own it learns the name alone. */
export async function listRooms(sql: Sql, principal: Principal): Promise<Room[]> {
  requireChat(principal);
  const rows = await sql<ListedRow>(LIST, [principal.tenantId, principalKey(principal), GENERAL]);
  return rows.map((row) => ({
    room: row.name,
    title: row.title,
    member: row.member,
    lastSeq: row.member ? (row.last ?? 0) : 0,
    readSeq: row.read_seq ?? 0,
  }));
}

/** Creates a public room with its creator as the first member. Throws AppError `already_exists`. */
export async function createRoom(
  deps: RoomDeps,
  principal: Principal,
  wanted: { room: string; title?: string | undefined; ip?: string | undefined },
): Promise<void> {
  requireChat(principal);
  if (wanted.room === GENERAL)
    throw new AppError('already_exists', { message: 'There is that room already.' });
  await deps.db.transaction(async ({ sql }) => {
    const [count] = await sql<{ rooms: number }>('SELECT count(*) AS rooms FROM rooms WHERE tenant_id = $1', [
      principal.tenantId,
    ]);
    if ((count?.rooms ?? 0) >= MAX_ROOMS)
      throw new AppError('forbidden', { message: `There are ${MAX_ROOMS} rooms already.` });
    const rows = await sql(
      `INSERT INTO rooms (tenant_id, name, title, created_by) VALUES ($1, $2, $3, $4)
       ON CONFLICT DO NOTHING RETURNING name`,
      [principal.tenantId, wanted.room, wanted.title ?? wanted.room, principalKey(principal)],
    );
    if (rows.length === 0) throw new AppError('already_exists', { message: 'There is that room already.' });
    await addMember(sql, principal, wanted.room);
    await audit(sql, principal, { action: 'room.create', room: wanted.room, ip: wanted.ip });
  });
}

/** Joins a public room; joining again changes nothing. Throws AppError `not_found`, also for a private one. */
export async function joinRoom(
  deps: RoomDeps,
  principal: Principal,
  wanted: { room: string; ip?: string | undefined },
): Promise<void> {
  requireChat(principal);
  if (wanted.room === GENERAL) return;
  await deps.db.transaction(async ({ sql }) => {
    const [room] = await sql<{ open: boolean }>(
      `SELECT NOT private OR EXISTS (SELECT FROM room_members m
         WHERE m.tenant_id = r.tenant_id AND m.room = r.name AND m.principal = $3) AS open
       FROM rooms r WHERE tenant_id = $1 AND name = $2`,
      [principal.tenantId, wanted.room, principalKey(principal)],
    );
    if (room?.open !== true) throw new AppError('not_found', { message: 'There is no such room.' });
    if (!(await addMember(sql, principal, wanted.room))) return;
    await audit(sql, principal, { action: 'room.join', room: wanted.room, ip: wanted.ip });
  });
}

/** Leaves a room; leaving one that one is not in changes nothing. Throws AppError `forbidden` for `general`. */
export async function leaveRoom(
  deps: RoomDeps,
  principal: Principal,
  wanted: { room: string; ip?: string | undefined },
): Promise<void> {
  requireChat(principal);
  if (wanted.room === GENERAL) throw new AppError('forbidden', { message: 'Everybody is in general.' });
  await deps.db.transaction(async ({ sql }) => {
    const left = await sql(
      'DELETE FROM room_members WHERE tenant_id = $1 AND room = $2 AND principal = $3 RETURNING room',
      [principal.tenantId, wanted.room, principalKey(principal)],
    );
    if (left.length > 0)
      await audit(sql, principal, { action: 'room.leave', room: wanted.room, ip: wanted.ip });
  });
}

/** Moves the principal's read mark forward: never back, and never beyond the room's last message. */
export async function markRead(
  sql: Sql,
  principal: Principal,
  mark: { room: string; seq: number },
): Promise<void> {
  await requireMember(sql, principal, mark.room);
  const values = [principal.tenantId, mark.room, principalKey(principal), mark.seq];
  const reached = `least($4::bigint, coalesce((SELECT last FROM partition_counters
    WHERE tenant_id = $1 AND collection = 'messages' AND partition = $2), 0))`;
  if (mark.room === GENERAL) {
    await sql(
      `INSERT INTO room_members AS m (tenant_id, room, principal, read_seq) VALUES ($1, $2, $3, ${reached})
       ON CONFLICT (tenant_id, room, principal) DO UPDATE SET read_seq = greatest(m.read_seq, excluded.read_seq)`,
      values,
    );
    return;
  }
  await sql(
    `UPDATE room_members SET read_seq = greatest(read_seq, ${reached})
     WHERE tenant_id = $1 AND room = $2 AND principal = $3`,
    values,
  );
}

/** Adds a member; says whether it was none before. */
async function addMember(sql: Sql, principal: Principal, room: string): Promise<boolean> {
  const values = [principal.tenantId, principalKey(principal)];
  const [count] = await sql<{ rooms: number }>(
    'SELECT count(*) AS rooms FROM room_members WHERE tenant_id = $1 AND principal = $2',
    values,
  );
  if ((count?.rooms ?? 0) >= MAX_MEMBERSHIPS)
    throw new AppError('forbidden', { message: `You are in ${MAX_MEMBERSHIPS} rooms: leave one first.` });
  const added = await sql(
    `INSERT INTO room_members (tenant_id, principal, room) VALUES ($1, $2, $3)
     ON CONFLICT DO NOTHING RETURNING room`,
    [...values, room],
  );
  return added.length > 0;
}

async function audit(
  sql: Sql,
  principal: Principal,
  event: { action: string; room: string; ip: string | undefined },
): Promise<void> {
  await appendAudit(sql, {
    tenantId: principal.tenantId,
    action: event.action,
    principal: principalKey(principal),
    success: true,
    ip: event.ip,
    details: { room: event.room },
  });
}
