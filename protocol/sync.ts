import { z } from 'zod';
import { wireError } from './errors.ts';
import { LIMITS } from './limits.ts';

/**
 * The wire of the `/sync` namespace: what a client sends (up) and what it gets (down).
 * docs/PROTOCOL.md numbers the rules; a test fingerprints these schemas, so that the wire cannot change unnoticed.
 */

/** Neither control characters nor half a surrogate pair, which no database keeps as it is. */
const printable = /^[^\u0000-\u001f\u007f\ud800-\udfff]+$/u;
const PRINTABLE = 'use text without control characters';

export const collectionName = z
  .string()
  .max(LIMITS.collectionLength)
  .regex(/^[a-z][a-z0-9_-]*$/, 'use small letters, digits, "_" or "-", a letter first');
export const recordId = z.string().min(1).max(LIMITS.recordIdLength).regex(printable, PRINTABLE);
export const partitionName = z.string().min(1).max(LIMITS.partitionLength).regex(printable, PRINTABLE);
/** An opaque position: keep it, send it back, never look inside. */
export const cursor = z.string().min(1).max(1_000);
/** UUIDs are one in either case (RFC 9562): lower case is what is compared and stored. */
const uuid = z.uuid().toLowerCase();
export const clientId = uuid;
export const incarnation = z.string().min(1).max(64).regex(printable, PRINTABLE);
export const seq = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);
const version = z.number().int().nonnegative();
/** From here on a number stands for a version that the gateway has not given yet (server/sync/working-set.ts). */
const UNGIVEN = 2 ** 52;

export const recordData = z.record(z.string(), z.unknown());
export type RecordData = z.infer<typeof recordData>;

export const subscription = z.object({
  collection: collectionName,
  /** Left out: every partition the principal may read. */
  partitions: z.array(partitionName).max(1_000).optional(),
});
export type Subscription = z.infer<typeof subscription>;

/** Refused, and waiting for somebody at the client. */
const inboxCount = z.number().int().nonnegative();

export const hello = z.object({
  protocol: z.number().int(),
  clientId,
  incarnation,
  cursor: cursor.nullable(),
  subscribe: z.array(subscription).max(LIMITS.subscriptions),
  /** Larger batches than the usual 1,000 mutations, for business acts that need them (up to 5,000). */
  limits: z.object({ batchMutations: z.number().int().positive() }).optional(),
  app: z
    .object({
      name: z.string().max(100).regex(printable, PRINTABLE),
      version: z.string().max(100).regex(printable, PRINTABLE),
      /** Batches waiting in the client's outbox. */
      queue: z.number().int().nonnegative().optional(),
      inbox: inboxCount.optional(),
    })
    .optional(),
});
export type Hello = z.infer<typeof hello>;

export const mutation = z.object({
  collection: collectionName,
  id: recordId,
  op: z.enum(['put', 'patch', 'delete']),
  partition: partitionName.optional(),
  baseVersion: version.max(UNGIVEN - 1).optional(),
  /** put: the whole record. */
  data: recordData.optional(),
  /** patch: fields to set. */
  set: recordData.optional(),
  /** patch: fields to remove. */
  unset: z.array(z.string().max(LIMITS.recordIdLength)).max(1_000).optional(),
  /** patch: numbers to add, exact in decimal. */
  increment: z.record(z.string(), z.number()).optional(),
  /** patch: bounds that must hold afterwards, for example `{ "quantity": { "min": 0 } }`. */
  guard: z
    .record(z.string(), z.looseObject({ min: z.number().optional(), max: z.number().optional() }))
    .optional(),
});
export type Mutation = z.infer<typeof mutation>;

export const push = z.object({
  seq,
  batchId: uuid,
  atomic: z.boolean().optional(),
  dependsOn: z.array(uuid).max(100).optional(),
  mutations: z.array(mutation).min(1).max(LIMITS.batchMutationsMax),
});
export type Push = z.infer<typeof push>;

export const mutationResult = z.object({
  status: z.enum(['applied', 'merged', 'conflict', 'rejected']),
  version: version.optional(),
  code: z.string().optional(),
  message: z.string().optional(),
  path: z.string().optional(),
  conflict: z
    .object({
      base: recordData.nullable().optional(),
      yours: recordData.nullable().optional(),
      /** null: there is no such record. */
      theirs: recordData.nullable().optional(),
      /** `yours` and `theirs` are left out, for size: read the record at `theirsVersion`. */
      omitted: z.boolean().optional(),
      theirsVersion: version.optional(),
      fields: z.array(z.string()).optional(),
    })
    .optional(),
});
export type MutationResult = z.infer<typeof mutationResult>;

export const pushVerdict = z.object({
  ok: z.literal(true),
  seq,
  /** The tenant's position after the batch; null when nothing was changed. */
  version: version.nullable(),
  replay: z.boolean().optional(),
  results: z.array(mutationResult),
});
export type PushVerdict = z.infer<typeof pushVerdict>;

export const refusal = z.object({ ok: z.literal(false), error: wireError });
export type Refusal = z.infer<typeof refusal>;

export type PushAck = PushVerdict | Refusal;

export const helloReply = z.object({
  ok: z.literal(true),
  epoch: z.string(),
  head: version,
  lastSeq: z.number().int().nonnegative(),
  mode: z.enum(['resume', 'snapshot', 'reset']),
  /** Frames the server sends before it waits for a `sync:ack`. */
  credits: z.number().int().positive(),
  serverTime: z.string(),
});
export type HelloReply = z.infer<typeof helloReply>;
export type HelloAck = HelloReply | Refusal;

export const change = z.object({
  version,
  /** Place inside the version (a version is one batch). */
  index: z.number().int().nonnegative(),
  collection: z.string(),
  id: z.string(),
  op: z.enum(['put', 'delete', 'evict']),
  partition: z.string(),
  data: recordData.optional(),
  /** The record's version after the change. */
  recordVersion: version,
  at: z.string(),
  by: z.object({
    principal: z.string(),
    clientId: z.string().optional(),
    seq: z.number().optional(),
  }),
});
export type Change = z.infer<typeof change>;

/** Contiguous changes: `from` is the cursor the client must be at, `to` the one it is at afterwards. */
export const delta = z.object({ from: cursor, to: cursor, more: z.boolean(), changes: z.array(change) });
export type Delta = z.infer<typeof delta>;

export const snapshotRecord = z.object({
  collection: z.string(),
  id: z.string(),
  partition: z.string(),
  data: recordData,
  recordVersion: version,
});
export type SnapshotRecord = z.infer<typeof snapshotRecord>;

/** One page of the records as they are; deltas follow from the cursor `at` after the page with `more: false`. */
export const snapshot = z.object({
  page: z.string(),
  at: cursor,
  more: z.boolean(),
  records: z.array(snapshotRecord),
});
export type Snapshot = z.infer<typeof snapshot>;

export const syncAck = z.union([z.object({ to: cursor }), z.object({ page: z.string().min(1).max(1_000) })]);
export type SyncAck = z.infer<typeof syncAck>;

/** What has changed of a client since its hello, for those who look after it. */
export const syncReport = z.object({ inbox: inboxCount });

export type OkAck = { ok: true } | Refusal;

/** A proof of the key that a token is bound to (RFC 9449). */
export const dpopProof = z.string().max(4_096).optional();
export const authRefresh = z.object({ token: z.string().min(1).max(8_192), dpop: dpopProof });
export type AuthRefreshAck = { ok: true; expiresAt: string } | Refusal;

export const reset = z.object({ reason: z.string() });
export type Reset = z.infer<typeof reset>;

/** Why the server is about to close the socket; sent just before it does. */
export const closing = z.object({
  code: z.string(),
  message: z.string(),
  retryAfterMs: z.number().optional(),
});
export type Closing = z.infer<typeof closing>;
