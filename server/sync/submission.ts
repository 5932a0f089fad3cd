import { createHash } from 'node:crypto';
import { canonicalJson } from '../../protocol/canonical.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Mutation, Push } from '../../protocol/sync.ts';
import { mayWriteCollection } from '../auth/access.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { looksUnstorable } from './storable.ts';

/** A batch as a client handed it in, with who and where from. */
export interface Submission {
  principal: Principal;
  principalKey: string;
  clientId: string;
  incarnation: string;
  push: Push;
  /** SHA-256 of the canonical batch, hex. */
  hash: string;
  bytes: number;
  ip: string | undefined;
  /** Written by the gateway itself for the principal (chat, records over HTTP). */
  trusted: boolean;
  /** Its text looks like what cannot be kept: it is looked at more closely. */
  suspicious: boolean;
  /** Canonical JSON of each put's data. */
  texts: ReadonlyMap<Mutation, string>;
  /** Says whether its sender is still there: what waits when a session ends is not written any more (P7). */
  isAlive: () => boolean;
  /** False for a write: it has no place in an installation's sequence, its batchId alone is its identity. */
  sequenced: boolean;
}

export interface PushOrigin {
  principal: Principal;
  clientId: string;
  incarnation: string;
  ip?: string | undefined;
  trusted?: boolean;
  /** Left out: it is. */
  isAlive?: () => boolean;
}

export type WriteOrigin = Pick<PushOrigin, 'principal' | 'ip' | 'trusted'>;

/** A batch without a sequence: the same `batchId` always is the same write, whichever node it comes to. */
export type Write = Pick<Push, 'batchId' | 'atomic' | 'mutations'>;

/** The incarnation of a write's stored result: empty, which no client can say in a hello. */
const WRITE_INCARNATION = '';

/** Throws AppError `forbidden`, `payload_too_large` or `invalid_message`; the sequence number is not used up. */
export function toSubmission(origin: PushOrigin, push: Push): Submission {
  if (
    !push.mutations.some((mutation) => mayWriteCollection(origin.principal, mutation.collection)) &&
    !canWrite(origin)
  ) {
    throw new AppError('forbidden', { message: 'Writing needs the scope sync:write.' });
  }
  const texts = new Map<Mutation, string>();
  const canonical = canonicalBatch(push, texts);
  const bytes = byteLengthOf(push, canonical);
  if (bytes > LIMITS.batchBytes) {
    throw new AppError('payload_too_large', { message: 'The batch is over 1 MiB: send smaller ones.' });
  }
  if (bytes > LIMITS.recordBytes) refuseLargeRecords(push);
  return {
    principal: origin.principal,
    principalKey: principalKey(origin.principal),
    clientId: origin.clientId,
    incarnation: origin.incarnation,
    push,
    hash: createHash('sha256').update(canonical).digest('hex'),
    bytes,
    ip: origin.ip,
    trusted: origin.trusted ?? false,
    suspicious: looksUnstorable(canonical),
    texts,
    isAlive: origin.isAlive ?? (() => true),
    sequenced: true,
  };
}

/** Length of the batch's canonical JSON; near enough, and cheaper, for a batch far from the limit. */
function byteLengthOf({ seq: _place, ...batch }: Push, canonical: string): number {
  const about = Buffer.byteLength(canonical);
  return about < LIMITS.batchBytes / 2 ? about : Buffer.byteLength(canonicalJson(batch));
}

function refuseLargeRecords({ mutations }: Push): void {
  const index = mutations.findIndex(
    ({ data, set }) => Buffer.byteLength(canonicalJson(data ?? set ?? null)) > LIMITS.recordBytes,
  );
  if (index < 0) return;
  const fault = { path: `mutations.${index}`, message: 'is over 256 KiB' };
  throw new AppError('payload_too_large', { message: 'A record is over 256 KiB.', errors: [fault] });
}

/** A write is the whole sequence of an installation of its own, named by the batchId. */
export function toWriteSubmission(origin: WriteOrigin, batch: Write): Submission {
  const place = { clientId: batch.batchId, incarnation: WRITE_INCARNATION };
  return { ...toSubmission({ ...origin, ...place }, { ...batch, seq: 1 }), sequenced: false };
}

function canWrite(origin: PushOrigin): boolean {
  return [...origin.principal.scopes].some((scope) => scope.endsWith(':write') || scope === 'admin');
}

/**
 * The batch in a form that does not depend on who wrote it or in which key order: what is hashed. Canonical JSON texts of
 * `data` are kept in `texts`: they are stored as they are.
 */
function canonicalBatch(push: Push, texts: Map<Mutation, string>): string {
  try {
    let text = JSON.stringify([push.batchId, push.atomic ?? true, push.dependsOn ?? []]);
    for (const mutation of push.mutations) text += canonicalMutation(mutation, texts);
    return text;
  } catch (error) {
    throw new AppError('invalid_message', { message: 'A number in the batch is too large.', cause: error });
  }
}

/**
 * A part that its operation does not have is named, or it could be taken for another: `data: {set: …}` for `set`. The others
 * are not, so that what landed before an upgrade is still recognised when it comes again.
 */
function canonicalMutation(mutation: Mutation, texts: Map<Mutation, string>): string {
  const { collection, id, op, partition, baseVersion, data, set, unset, increment, guard } = mutation;
  let text = JSON.stringify([collection, id, op, partition, baseVersion, unset]);
  if (data) {
    const json = canonicalJson(data);
    texts.set(mutation, json);
    text += op === 'put' ? json : `"data"${json}`;
  }
  if (set ?? increment ?? guard) {
    if (op === 'put' && !data) text += '"patch"';
    text += canonicalJson({ set, increment, guard });
  }
  return text;
}
