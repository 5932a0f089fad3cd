/** Bounds both sides of the wire rely on (docs/PROTOCOL.md, section "Limits"). */
export const LIMITS = {
  /** Mutations in one batch, unless the client's hello asks for more. */
  batchMutations: 1_000,
  /** The most mutations in one batch that a hello may ask for (ADR 0006: the largest real invoices need it). */
  batchMutationsMax: 5_000,
  /** Canonical JSON of one batch, in UTF-8 bytes. */
  batchBytes: 1024 * 1024,
  /** Canonical JSON of one record's data, in UTF-8 bytes. */
  recordBytes: 256 * 1024,
  /** Fields of one record, not counting what is inside of them. */
  recordFields: 2_000,
  /** Nesting of objects and arrays in a message. */
  depth: 32,
  /** Characters of a record id. */
  recordIdLength: 200,
  /** Characters of a collection name. */
  collectionLength: 63,
  /** Characters of a partition name. */
  partitionLength: 100,
  /** Collections one client may subscribe to. */
  subscriptions: 64,
  /** Frames (sync:delta and sync:snapshot) one socket may have unacknowledged. */
  creditFrames: 64,
  /** Bytes of frames one socket may have unacknowledged. */
  creditBytes: 1024 * 1024,
  /** A client acknowledges stored frames at the latest after this many milliseconds. */
  ackDelayMs: 200,
  /** Seconds a socket outlives its access token without an `auth:refresh`. */
  expiryGraceSeconds: 30,
  /** Milliseconds a socket on `/` has to authenticate. */
  authenticateWithinMs: 10_000,
  /** Characters of one chat message. */
  chatBodyLength: 4_000,
} as const;
