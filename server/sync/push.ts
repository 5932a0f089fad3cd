import type pg from 'pg';
import { AppError } from '../../protocol/errors.ts';
import type { MutationResult, Push, PushVerdict } from '../../protocol/sync.ts';
import { isUnavailable } from '../db.ts';
import type { Collections } from './collections.ts';
import {
  BATCH_ID_KEY,
  clientKey,
  findStoredResult,
  findUsedIds,
  lockClients,
  lockRecords,
  toCommittedGroup,
  writeGroup,
} from './commit.ts';
import type { ClientPosition, CommittedGroup, DecidedBatch } from './commit.ts';
import { decideBatch } from './decide.ts';
import { GroupQueue } from './group-queue.ts';
import { toSubmission, toWriteSubmission } from './submission.ts';
import type { PushOrigin, Submission, Write, WriteOrigin } from './submission.ts';
import { findWrites } from './writes.ts';

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
  /**
   * Applies a batch that the gateway makes for a principal (chat, records over HTTP), once by its `batchId`: again,
   * with `replay: true`, it gets the stored verdict; `seq_reuse` when the content differs. Make the batchId from the
   * principal and the request's own identity, so that no other principal can have it.
   */
  write(origin: WriteOrigin, batch: Write): Promise<PushVerdict>;
  /** Batches waiting or running. */
  readonly waiting: number;
  /** Resolves when nothing is waiting or running. */
  idle(): Promise<void>;
}

/** Creates the write path: one queue a tenant, each working in commit groups (docs/PROTOCOL.md, "Group commit"). */
export function createPusher(deps: PushDeps): Pusher {
  // the pool listens only while a connection is idle: the last error of one that is thrown away would end the process
  deps.pool.on('connect', (client) => client.on('error', () => undefined));
  const queues = new Map<number, GroupQueue<Submission, PushVerdict>>();
  const queueOf = (tenantId: number): GroupQueue<Submission, PushVerdict> => {
    const queue = queues.get(tenantId) ?? new GroupQueue((group) => runGroup(deps, tenantId, group));
    queues.set(tenantId, queue);
    return queue;
  };
  const submit = (submission: Submission): Promise<PushVerdict> =>
    queueOf(submission.principal.tenantId).submit(submission, submission.bytes);
  return {
    push: async (origin, batch) => await submit(toSubmission(origin, batch)),
    write: async (origin, batch) => await submit(toWriteSubmission(origin, batch)),
    get waiting() {
      return [...queues.values()].reduce((sum, queue) => sum + queue.waiting, 0);
    },
    async idle() {
      await Promise.all([...queues.values()].map((queue) => queue.idle()));
    },
  };
}

/** SQLSTATEs after which the same group is simply run again: another node was in the way. */
const RETRIABLE = new Set(['40001', '40P01', '23505']);
const ATTEMPTS = 8;

async function runGroup(
  deps: PushDeps,
  tenantId: number,
  group: Submission[],
): Promise<(PushVerdict | Error)[]> {
  let done: (PushVerdict | Error)[] | undefined;
  let usedIds: ReadonlySet<string> = new Set();
  for (let attempt = 1; done === undefined; attempt += 1) {
    try {
      done = await commitGroup(deps, tenantId, group, { usedIds });
    } catch (error) {
      if (error instanceof AppError || isUnavailable(error)) return group.map(() => unavailable(error));
      const { code = '', constraint } = error as { code?: string; constraint?: string };
      if (!RETRIABLE.has(code) || attempt === ATTEMPTS) return await bisect(deps, tenantId, group, error);
      // looked up only now: a batchId that was used before is a rare fault, and every group would pay for the question
      if (constraint === BATCH_ID_KEY)
        usedIds = await findUsedIds(deps.pool, tenantId, group).catch(() => usedIds);
    }
  }
  // a conflict with a version of the group's own is told in the next group, when that version has its number
  return done.length < group.length
    ? [...done, ...(await runGroup(deps, tenantId, group.slice(done.length)))]
    : done;
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
    const override = (): MutationResult[] => results;
    return (await commitGroup(deps, tenantId, [submission], { override }))[0] ?? unavailable(cause);
  } catch (error) {
    return unavailable(error);
  }
}

interface Judging {
  /** batchIds of this group that the log has under another seq. */
  usedIds?: ReadonlySet<string>;
  /** Verdicts that are set already. */
  override?: (submission: Submission) => MutationResult[];
}

/** Commits a group, or its first part when `judgeGroup` stops early: the result is as long as what was judged. */
async function commitGroup(
  deps: PushDeps,
  tenantId: number,
  group: Submission[],
  judging: Judging,
): Promise<(PushVerdict | Error)[]> {
  const tx = await deps.pool.connect();
  let broken: Error | undefined;
  // a connection that dies between two statements says so here
  const onError = (error: Error): void => void (broken = error);
  tx.on('error', onError);
  try {
    await tx.query('BEGIN');
    const judged = await judgeGroup(deps, tx, group, judging);
    const { decided } = judged;
    const written = decided.length > 0 ? await writeGroup(tx, tenantId, decided, judged.records) : undefined;
    await tx.query('COMMIT');
    if (written && written.versions > 0) {
      // acknowledgements and the next group's first statement go out before delivery takes the loop; order is kept
      setImmediate(() => deps.onCommitted(tenantId, toCommittedGroup(written)));
    }
    await deps.afterCommit?.();
    return judged.outcomes.map((outcome) =>
      typeof outcome === 'function' ? outcome(written?.base ?? 0) : outcome,
    );
  } catch (error) {
    await tx.query('ROLLBACK').catch((failure: unknown) => (broken ??= failure as Error));
    throw broken === undefined ? error : new AppError('unavailable', { cause: error });
  } finally {
    tx.off('error', onError);
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
  { usedIds = new Set(), override }: Judging,
): Promise<Judged> {
  const tenantId = group[0]?.principal.tenantId ?? 0;
  const positions = await lockClients(
    tx,
    tenantId,
    group.filter(({ sequenced }) => sequenced),
  );
  const writes = group.filter(({ sequenced }) => !sequenced);
  for (const [key, position] of await findWrites(tx, tenantId, writes)) positions.set(key, position);
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
  const ids = new Set(usedIds);
  for (const submission of group) {
    const refusal = checkPlace(submission, positions, ids);
    const name = `${clientKey(submission)}/${submission.push.seq}`;
    if (refusal === 'replay') {
      outcomes.push(await replayOf(tx, submission, seen.get(name)));
    } else if (refusal) {
      outcomes.push(refusal);
    } else {
      const judged = judgeBatch(deps, submission, records, override);
      if (!judged) break;
      outcomes.push(judged.outcome);
      decided.push(judged.decided);
      advance(positions, submission);
      ids.add(submission.push.batchId);
      seen.set(name, { submission, outcome: judged.outcome });
    }
  }
  return { outcomes, decided, records };
}

function checkPlace(
  submission: Submission,
  positions: Map<string, ClientPosition>,
  usedIds: ReadonlySet<string>,
): AppError | 'replay' | undefined {
  const position = positions.get(clientKey(submission));
  if (!position) return new AppError('hello_required');
  if (position.principal !== submission.principalKey) return new AppError('client_mismatch');
  const { seq } = submission.push;
  if (seq <= position.lastSeq) return 'replay';
  if (seq > position.lastSeq + 1) return new AppError('seq_gap', { expectedSeq: position.lastSeq + 1 });
  return usedIds.has(submission.push.batchId) ? new AppError('seq_reuse') : undefined;
}

function advance(positions: Map<string, ClientPosition>, submission: Submission): void {
  const position = positions.get(clientKey(submission));
  if (position) position.lastSeq = submission.push.seq;
}

/** Judges one batch; undefined when it conflicts with a version of this very group, whose number is not known yet. */
function judgeBatch(
  deps: PushDeps,
  submission: Submission,
  records: Judged['records'],
  override?: Judging['override'],
): { outcome: Outcome; decided: DecidedBatch } | undefined {
  const { principal, push, trusted, suspicious } = submission;
  const context = { principal, collections: deps.collections, records, trusted, suspicious };
  const decision = override
    ? { results: override(submission), deferred: false }
    : decideBatch(context, push.mutations, push.atomic ?? true);
  if (decision.deferred) return undefined;
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
