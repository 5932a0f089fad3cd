import { z } from 'zod';
import type { Refusal } from './sync.ts';
import { dpopProof, partitionName } from './sync.ts';
import { LIMITS } from './limits.ts';

/** The wire of the namespace `/`: chat and status. */

/** A room's name is also the partition of its messages. */
export const roomName = partitionName.regex(
  /^[a-z0-9][a-z0-9._-]{0,63}$/,
  'use 1 to 64 small letters, digits, ".", "_" or "-", a letter or digit first',
);

/** A room's name made of its title. Empty when nothing is left of it. */
export function roomNameOf(title: string): string {
  return title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64)
    .replace(/-+$/, '');
}

export const authenticate = z.union([
  z.object({ token: z.string().min(1).max(8_192), dpop: dpopProof }),
  z.object({
    username: z.string().min(1).max(254),
    password: z.string().min(1).max(1_024),
    /** Where the account lives; left out: where people sign up. */
    tenantId: z.number().int().positive().max(2_147_483_647).optional(),
    /** The solution of the challenge that came with `proof_of_work_required`. */
    altcha: z.string().max(4_096).optional(),
  }),
]);
export type Authenticate = z.infer<typeof authenticate>;

export const sendMessage = z.object({
  room: roomName,
  body: z.string().min(1).max(LIMITS.chatBodyLength),
  /** A repeated id returns the first message's answer: sending again is safe. */
  clientMessageId: z.uuid(),
});
export type SendMessage = z.infer<typeof sendMessage>;
export type SendMessageAck = { ok: true; id: string; seq: number; at: string } | Refusal;

export const chatMessage = z.object({
  id: z.string(),
  room: z.string(),
  /** Position in the room: 1, 2, 3… without gaps. */
  seq: z.number().int().positive(),
  /** `displayName`: what the person wanted to be called when they wrote it. */
  from: z.object({ id: z.string(), username: z.string(), displayName: z.string().optional() }),
  body: z.string(),
  at: z.string(),
  clientMessageId: z.string().optional(),
});
export type ChatMessage = z.infer<typeof chatMessage>;

export const roomRequest = z.object({ room: roomName });
export const roomCreate = z.object({ room: roomName, title: z.string().max(100).optional() });
export const roomHistory = z.object({
  room: roomName,
  /** Messages with a seq below this one; left out: the newest. */
  before: z.number().int().positive().optional(),
  limit: z.number().int().min(1).max(200).optional(),
});
export const typingRequest = z.object({ room: roomName });
export const readRequest = z.object({ room: roomName, seq: z.number().int().nonnegative() });
export const statusSet = z.object({
  status: z.enum(['online', 'away', 'busy', 'offline']),
  text: z.string().max(140).optional(),
});

export const room = z.object({
  room: z.string(),
  title: z.string(),
  member: z.boolean(),
  lastSeq: z.number().int().nonnegative(),
  /** The caller's read mark. */
  readSeq: z.number().int().nonnegative(),
});
export type Room = z.infer<typeof room>;

export const presence = z.object({
  principal: z.string(),
  kind: z.enum(['user', 'device', 'client', 'api_key']),
  /** Of a person the username. */
  name: z.string(),
  /** What a person wants to be called beside it. */
  displayName: z.string().optional(),
  status: z.enum(['online', 'away', 'busy', 'offline']),
  text: z.string().optional(),
  since: z.string(),
  /** Agents only: batches waiting in the outbox, versions behind the head, refused batches that wait for somebody there. */
  queue: z.number().optional(),
  lag: z.number().optional(),
  inbox: z.number().optional(),
});
export type Presence = z.infer<typeof presence>;

export type RoomListAck = { ok: true; rooms: Room[] } | Refusal;
export type RoomHistoryAck = { ok: true; messages: ChatMessage[]; more: boolean } | Refusal;
export type StatusListAck = { ok: true; presence: Presence[] } | Refusal;
