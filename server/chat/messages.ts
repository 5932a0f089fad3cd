import { createHash } from 'node:crypto';
import type { ChatMessage, SendMessage } from '../../protocol/chat.ts';
import { AppError } from '../../protocol/errors.ts';
import type { RecordData } from '../../protocol/sync.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Sql } from '../db.ts';
import type { Sync } from '../sync/sync.ts';
import { requireMember } from './rooms.ts';

/** Chat messages are records of the collection `messages`: partition = room, numbered per room by the commit. */

export interface MessageDeps {
  db: { sql: Sql };
  sync: Pick<Sync, 'write'>;
}

/** A message as its record holds it. */
interface StoredMessage {
  seq: number;
  body: string;
  from: { kind: string; id: string; username: string; displayName?: string };
  at: string;
  clientMessageId: string;
}

export interface SentMessage {
  ok: true;
  id: string;
  seq: number;
  at: string;
}

/**
 * Puts a message on its way and returns the promise of its answer. Sending a `clientMessageId` again, to whichever node,
 * is answered with the first message's id, seq and time. Messages handed in one after the other are committed in that
 * order. The caller has checked that the principal is a member.
 */
export function submitMessage(
  deps: MessageDeps,
  origin: { principal: Principal; ip?: string | undefined },
  message: SendMessage,
): Promise<SentMessage> {
  const { principal, ip } = origin;
  const id = messageId(principal, message.clientMessageId);
  const data = {
    body: message.body,
    from: {
      ...{ kind: principal.kind, id: principal.id, username: principal.name },
      ...(principal.displayName !== undefined && { displayName: principal.displayName }),
    },
    at: new Date().toISOString(),
    clientMessageId: message.clientMessageId,
  };
  const written = deps.sync.write(
    { principal: asWriterOf(principal, message.room), ip, trusted: true },
    { batchId: id, mutations: [{ collection: 'messages', id, op: 'put', partition: message.room, data }] },
  );
  return answerOf(deps, principal, { message, id, written });
}

async function answerOf(
  deps: MessageDeps,
  principal: Principal,
  sent: { message: SendMessage; id: string; written: ReturnType<Sync['write']> },
): Promise<SentMessage> {
  let refusal: AppError | undefined;
  try {
    const [result] = (await sent.written).results;
    if (result?.code !== undefined) refusal = new AppError('invalid_message', withMessage(result.message));
  } catch (error) {
    // the id is known: its time was another one then, so the content differs
    if (!(error instanceof AppError && error.code === 'seq_reuse')) throw error;
    refusal = error;
  }
  const [row] = await deps.db.sql<{ partition: string; data: RecordData }>(
    `SELECT partition, data FROM records WHERE tenant_id = $1 AND collection = 'messages' AND id = $2`,
    [principal.tenantId, sent.id],
  );
  if (row?.partition !== sent.message.room) throw refusal ?? new AppError('internal');
  const stored = row.data as unknown as StoredMessage;
  return { ok: true, id: sent.id, seq: stored.seq, at: stored.at };
}

function withMessage(message: string | undefined): { message?: string } {
  return message === undefined ? {} : { message };
}

/** Rights for this one act: the membership has been checked, and chat's scope writes nothing else. */
function asWriterOf(principal: Principal, room: string): Principal {
  const only = new Set([room]);
  return {
    ...principal,
    scopes: new Set(['records:messages:write']),
    grants: { read: only, write: only },
  };
}

/** The same for the same sender and clientMessageId, on every node and after every restart; a UUIDv8. */
function messageId(principal: Principal, clientMessageId: string): string {
  const name = `${principal.tenantId}/${principalKey(principal)}/${clientMessageId.toLowerCase()}`;
  const hash = createHash('sha256').update(`sluice chat message ${name}`).digest('hex');
  const variant = ((parseInt(hash.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

const HISTORY = `SELECT id, partition, data FROM records
  WHERE tenant_id = $1 AND collection = 'messages' AND partition = $2 AND (data->>'seq')::bigint < $3
  ORDER BY (data->>'seq')::bigint DESC LIMIT $4`;

const HISTORY_LIMIT = 50;

/**
 * Reads a page of a room: the newest messages below `before`, in ascending order of seq. `more` says that there are
 * older ones; they are `before` the first of the page. Throws AppError `forbidden` for one who is not a member.
 */
export async function readHistory(
  sql: Sql,
  principal: Principal,
  page: { room: string; before?: number | undefined; limit?: number | undefined },
): Promise<{ messages: ChatMessage[]; more: boolean }> {
  await requireMember(sql, principal, page.room);
  const limit = page.limit ?? HISTORY_LIMIT;
  const before = page.before ?? Number.MAX_SAFE_INTEGER;
  const rows = await sql<{ id: string; partition: string; data: RecordData }>(HISTORY, [
    principal.tenantId,
    page.room,
    before,
    limit + 1,
  ]);
  const key = principalKey(principal);
  const messages = rows
    .slice(0, limit)
    .reverse()
    .map((row) => toChatMessage(row, (sender) => sender === key));
  return { messages, more: rows.length > limit };
}

/** A record of `messages` as it goes over the wire; the clientMessageId only to the sender's own sockets. */
export function toChatMessage(
  record: { id: string; partition: string; data: RecordData },
  isOwn: (sender: string) => boolean,
): ChatMessage {
  const { seq, from, body, at, clientMessageId } = record.data as unknown as StoredMessage;
  return {
    id: record.id,
    room: record.partition,
    seq,
    from: {
      ...{ id: from.id, username: from.username },
      ...(from.displayName !== undefined && { displayName: from.displayName }),
    },
    body,
    at,
    ...(isOwn(senderOf(record.data)) ? { clientMessageId } : {}),
  };
}

/** `kind:id` of a message's sender. */
export function senderOf(data: RecordData): string {
  const { from } = data as unknown as StoredMessage;
  return `${from.kind}:${from.id}`;
}
