import { createHash } from 'node:crypto';
import type pg from 'pg';
import { canonicalJson } from '../../protocol/canonical.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { MutationResult, Push, PushVerdict } from '../../protocol/sync.ts';
import { mayWriteCollection } from '../auth/access.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { isUnavailable } from '../db.ts';
import type { Collections } from './collections.ts';
import {
  clientKey,
  findStoredResult,
  lockClients,
  lockRecords,
  toCommittedGroup,
  writeGroup,
} from './commit.ts';
import type { ClientPosition, CommittedGroup, DecidedBatch } from './commit.ts';
import { decideBatch } from './decide.ts';
import { GroupQueue } from './group-queue.ts';

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
}

export interface PushOrigin {
  principal: Principal;
  clientId: string;
  incarnation: string;
  ip?: string | undefined;
  trusted?: boolean;
}

export interface PushDeps {
  pool: pg.Pool;
  collections: Collections;
  /** Told of each committed group, in order; it must not throw. */
  onCommitted: (tenantId: number, group: CommittedGroup) => void;
  /** For fault tests: awaited after the commit and before the acknowledgement. */
  afterCommit?: (() => Promise<void>) | undefined;
}

export interface Pusher {
  /**
   * Applies a batch once, durably, and returns its verdict. Throws AppError (`seq_gap`, `seq_reuse`, `busy`,
   * `unavailable`, …) when the sequence number was not used up.
   */
  push(origin: PushOrigin, batch: Push): Promise<PushVerdict>;
  /** Batches waiting or running. */
  readonly waiting: number;
  /** Resolves when nothing is waiting or running. */
  idle(): Promise<void>;
}

/** Creates the write path: one queue a tenant, each working in commit groups (docs/PROTOCOL.md, "Group commit"). */
export function createPusher(deps: PushDeps): Pusher {
  const queues = new Map<number, GroupQueue<Submission, PushVerdict>>();
  const queueOf = (tenantId: number): GroupQueue<Submission, PushVerdict> => {
    const queue = queues.get(tenantId) ?? new GroupQueue((group) => runGroup(deps, tenantId, group));
    queues.set(tenantId, queue);
    return queue;
  };
  return {
    async push(origin, batch) {
      const submission = toSubmission(origin, batch);
      return await queueOf(origin.principal.tenantId).submit(submission, submission.bytes);
    },
    get waiting() {
      return [...queues.values()].reduce((sum, queue) => sum + queue.waiting, 0);
    },
    async idle() {
      await Promise.all([...queues.values()].map((queue) => queue.idle()));
    },
  };
}

function toSubmission(origin: PushOrigin, push: Push): Submission {
  if (
    !push.mutations.some((mutation) => mayWriteCollection(origin.principal, mutation.collection)) &&
    !canWrite(origin)
  ) {
    throw new AppError('forbidden', { message: 'Writing needs the scope sync:write.' });
  }
  const canonical = canonicalBatch(push);
  const bytes = Buffer.byteLength(canonical);
  if (bytes > LIMITS.batchBytes) {
    throw new AppError('payload_too_large', { message: 'The batch is over 1 MiB: send smaller ones.' });
  }
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
  };
}

function canWrite(origin: PushOrigin): boolean {
  return [...origin.principal.scopes].some((scope) => scope.endsWith(':write') || scope === 'admin');
}

function canonicalBatch({ seq: _place, ...batch }: Push): string {
  try {
    return canonicalJson(batch);
  } catch (error) {
    throw new AppError('invalid_message', { message: 'A number in the batch is too large.', cause: error });
  }
}

/** SQLSTATEs after which the same group is simply run again: another node was in the way. */
const RETRIABLE = new Set(['40001', '40P01', '23505']);
const ATTEMPTS = 8;

async function runGroup(
  deps: PushDeps,
  tenantId: number,
  group: Submission[],
): Promise<(PushVerdict | Error)[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await commitGroup(deps, tenantId, group);
    } catch (error) {
      if (isUnavailable(error)) return group.map(() => unavailable(error));
      const code = (error as { code?: string }).code ?? '';
      if (RETRIABLE.has(code) && attempt < ATTEMPTS) continue;
      return await bisect(deps, tenantId, group, error);
    }
  }
}

function unavailable(cause: unknown): AppError {
  return new AppError('unavailable', { retryAfterMs: 1_000, cause });
}

/**
 * The database refused something that no check foresaw. Halving the group finds the culprit; the others are not its
 * hostages, and it alone gets an error.
 */
async function bisect(
  deps: PushDeps,
  tenantId: number,
  group: Submission[],
  error: unknown,
): Promise<(PushVerdict | Error)[]> {
  if (group.length === 1) return [await refuseCulprit(deps, tenantId, group[0] as Submission, error)];
  const middle = Math.ceil(group.length / 2);
  const first = await runGroup(deps, tenantId, group.slice(0, middle));
  return [...first, ...(await runGroup(deps, tenantId, group.slice(middle)))];
}

/** Stores a verdict for a batch the database refuses, so that it does not block the queue behind it (P5). */
async function refuseCulprit(
  deps: PushDeps,
  tenantId: number,
  submission: Submission,
  cause: unknown,
): Promise<PushVerdict | Error> {
  const code = (cause as { code?: string }).code ?? '';
  // 22: data the column types cannot hold; 54: over a limit of the database. Everything else is our fault or its
  if (!/^(22|54)/.test(code)) return new AppError('internal', { retryAfterMs: 5_000, cause });
  const results = submission.push.mutations.map((): MutationResult => ({
    status: 'rejected',
    code: 'invalid_mutation',
    message: 'The database cannot hold it.',
  }));
  try {
    return (await commitGroup(deps, tenantId, [submission], () => results))[0] ?? unavailable(cause);
  } catch (error) {
    return unavailable(error);
  }
}

type Override = (submission: Submission) => MutationResult[];

async function commitGroup(
  deps: PushDeps,
  tenantId: number,
  group: Submission[],
  override?: Override,
): Promise<(PushVerdict | Error)[]> {
  const tx = await deps.pool.connect();
  let broken: Error | undefined;
  try {
    await tx.query('BEGIN');
    const judged = await judgeGroup(deps, tx, group, override);
    const { decided } = judged;
    const written = decided.length > 0 ? await writeGroup(tx, tenantId, decided, judged.records) : undefined;
    await tx.query('COMMIT');
    if (written && written.versions > 0) deps.onCommitted(tenantId, toCommittedGroup(written));
    await deps.afterCommit?.();
    return judged.outcomes.map((outcome) =>
      typeof outcome === 'function' ? outcome(written?.base ?? 0) : outcome,
    );
  } catch (error) {
    await tx.query('ROLLBACK').catch((failure: unknown) => (broken = failure as Error));
    throw error;
  } finally {
    tx.release(broken);
  }
}

type Outcome = PushVerdict | Error | ((base: number) => PushVerdict);

interface Judged {
  outcomes: Outcome[];
  decided: DecidedBatch[];
  records: Awaited<ReturnType<typeof lockRecords>>;
}

/** Loads and locks, then judges the group's batches in order. */
async function judgeGroup(
  deps: PushDeps,
  tx: pg.PoolClient,
  group: Submission[],
  override?: Override,
): Promise<Judged> {
  const tenantId = group[0]?.principal.tenantId ?? 0;
  const positions = await lockClients(tx, tenantId, group);
  const fresh = group.filter((submission) => {
    const position = positions.get(clientKey(submission));
    return position !== undefined && submission.push.seq > position.lastSeq;
  });
  const numbered = new Set(
    [...deps.collections.values()].filter((c) => c.numbered !== undefined).map((c) => c.name),
  );
  const mutations = fresh.flatMap((submission) => submission.push.mutations);
  const records = await lockRecords(tx, tenantId, mutations, numbered);
  const outcomes: Outcome[] = [];
  const decided: DecidedBatch[] = [];
  const seen = new Map<string, { submission: Submission; outcome: Outcome }>();
  for (const submission of group) {
    const refusal = checkPlace(submission, positions);
    const name = `${clientKey(submission)}/${submission.push.seq}`;
    if (refusal === 'replay') {
      outcomes.push(await replayOf(tx, submission, seen.get(name)));
    } else if (refusal) {
      outcomes.push(refusal);
    } else {
      const outcome = judgeBatch(deps, submission, records, override);
      outcomes.push(outcome.outcome);
      if (outcome.decided) {
        decided.push(outcome.decided);
        advance(positions, submission);
        seen.set(name, { submission, outcome: outcome.outcome });
      }
    }
  }
  return { outcomes, decided, records };
}

function checkPlace(
  submission: Submission,
  positions: Map<string, ClientPosition>,
): AppError | 'replay' | undefined {
  const position = positions.get(clientKey(submission));
  if (!position) return new AppError('hello_required');
  if (position.principal !== submission.principalKey) return new AppError('client_mismatch');
  const { seq } = submission.push;
  if (seq <= position.lastSeq) return 'replay';
  if (seq > position.lastSeq + 1) return new AppError('seq_gap', { expectedSeq: position.lastSeq + 1 });
  return undefined;
}

function advance(positions: Map<string, ClientPosition>, submission: Submission): void {
  const position = positions.get(clientKey(submission));
  if (position) position.lastSeq = submission.push.seq;
}

function judgeBatch(
  deps: PushDeps,
  submission: Submission,
  records: Judged['records'],
  override?: Override,
): { outcome: Outcome; decided?: DecidedBatch } {
  const { principal, push, trusted } = submission;
  const context = { principal, collections: deps.collections, records, trusted };
  const decision = override
    ? { results: override(submission), deferred: false }
    : decideBatch(context, push.mutations, push.atomic ?? true);
  // It conflicts with a version of this very group, whose number is not known yet: the client sends it again at once
  if (decision.deferred) return { outcome: new AppError('busy', { retryAfterMs: 1 }) };
  const { changes, place } = override ? { changes: [], place: null } : records.accept();
  return {
    outcome: (base) => toVerdict(push.seq, decision.results, place === null ? null : base + place),
    decided: { submission, results: decision.results, changes, place },
  };
}

async function replayOf(
  tx: pg.PoolClient,
  submission: Submission,
  inGroup: { submission: Submission; outcome: Outcome } | undefined,
): Promise<Outcome> {
  if (inGroup) {
    if (inGroup.submission.hash !== submission.hash) return new AppError('seq_reuse');
    const { outcome } = inGroup;
    return typeof outcome === 'function' ? (base) => ({ ...outcome(base), replay: true }) : outcome;
  }
  const stored = await findStoredResult(tx, submission);
  if (stored?.hash.toString('hex') !== submission.hash) return new AppError('seq_reuse');
  return { ...toVerdict(submission.push.seq, stored.results, stored.version), replay: true };
}

/** Puts a decision into the form of the acknowledgement; the version of an applied mutation is its batch's. */
function toVerdict(seq: number, results: readonly MutationResult[], version: number | null): PushVerdict {
  return {
    ok: true,
    seq,
    version,
    results: results.map((result) =>
      result.code === undefined && version !== null ? { ...result, version } : result,
    ),
  };
}
