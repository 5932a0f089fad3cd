import type pg from 'pg';
import { AppError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { Mutation, MutationResult, Push, PushVerdict } from '../../protocol/sync.ts';
import { isUnavailable } from '../db.ts';
import type { Collections } from './collections.ts';
import { writeGroup } from './commit.ts';
import type { CommittedGroup } from './commit.ts';
import { GroupQueue } from '../group-queue.ts';
import { judgeGroup, StaleGuess } from './judge.ts';
import type { Judgement } from './judge.ts';
import { clientKey, findStored, loadClients, loadRecords, lockCounters, TooMuchAtOnce } from './load.ts';
import type { ClientPosition, Connection, StoredResult } from './load.ts';
import { RecordCache } from './record-cache.ts';
import { toSubmission, toWriteSubmission } from './submission.ts';
import type { PushOrigin, Submission, Write, WriteOrigin } from './submission.ts';
import { keyOf, WorkingSet } from './working-set.ts';
import type { WorkingRecord } from './working-set.ts';

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
  /** Forgets what is remembered of a tenant between groups: its database is another one. */
  forget(tenantId: number): void;
  /** Lets go of the writers of tenants that have written nothing since the call before. */
  release(): void;
  /** Tenants with a writer. */
  readonly size: number;
  /** Batches waiting or running. */
  readonly waiting: number;
  /** Resolves when nothing is waiting or running. */
  idle(): Promise<void>;
}

/** Creates the write path: one queue a tenant, each working in commit groups (docs/adr/0010; rule PU13). */
export function createPusher(deps: PushDeps): Pusher {
  const queues = new Map<number, GroupQueue<Submission, PushVerdict>>();
  const writers = new Map<number, Writer>();
  const recent = new Set<number>();
  const queueOf = (tenantId: number): GroupQueue<Submission, PushVerdict> => {
    const known = queues.get(tenantId);
    if (known) return known;
    const writer = { deps, tenantId, positions: new Map<string, ClientPosition>(), cache: new RecordCache() };
    writers.set(tenantId, writer);
    const queue = new GroupQueue((group: Submission[]) => runGroup(writer, group));
    queues.set(tenantId, queue);
    return queue;
  };
  const submit = (submission: Submission): Promise<PushVerdict> => {
    const { tenantId } = submission.principal;
    recent.add(tenantId);
    return queueOf(tenantId).submit(submission, submission.bytes);
  };
  return {
    push: async (origin, batch) => await submit(toSubmission(origin, batch)),
    write: async (origin, batch) => await submit(toWriteSubmission(origin, batch)),
    forget: (tenantId) => forget(writers.get(tenantId)),
    release() {
      // a queue at rest has nothing that another one would not do as well
      for (const [tenantId, queue] of queues) {
        if (recent.has(tenantId) || queue.waiting > 0) continue;
        queues.delete(tenantId);
        writers.delete(tenantId);
      }
      recent.clear();
    },
    get size() {
      return writers.size;
    },
    get waiting() {
      return [...queues.values()].reduce((sum, queue) => sum + queue.waiting, 0);
    },
    async idle() {
      await Promise.all([...queues.values()].map((queue) => queue.idle()));
    },
  };
}

/** One tenant's writer on this node. */
interface Writer {
  deps: PushDeps;
  tenantId: number;
  /** Where installations stood after this node's last commit. Only a guess: the write holds it against the truth. */
  positions: Map<string, ClientPosition>;
  /** Records as they were after it; a guess as well. */
  cache: RecordCache;
}

interface Attempt {
  /** Rows are locked before the group is judged: for a group that has lost a race. */
  locked: boolean;
  stored: ReadonlyMap<string, StoredResult>;
  override?: ((submission: Submission) => MutationResult[]) | undefined;
}

/** SQLSTATEs after which the same group is run again: another node was in the way, or a batchId has been used. */
const RETRIABLE = new Set(['40001', '40P01', '23505']);
const ATTEMPTS = 8;
const MAX_POSITIONS = 10_000;

/** The results of the group, or of its first part: the rest comes with the next group. */
async function runGroup(writer: Writer, group: Submission[]): Promise<(PushVerdict | Error)[]> {
  let done: (PushVerdict | Error)[] | undefined;
  let stored: ReadonlyMap<string, StoredResult> = new Map();
  for (let attempt = 1; done === undefined; attempt += 1) {
    try {
      done = await commitGroup(writer, group, { locked: attempt > 1, stored });
    } catch (error) {
      if (error instanceof StaleGuess) continue;
      forget(writer);
      if (error instanceof AppError || isUnavailable(error)) return group.map(() => unavailable(error));
      if (error instanceof TooMuchAtOnce) return await bisect(writer, group, error);
      const { code = '' } = error as { code?: string };
      if (!RETRIABLE.has(code) || attempt === ATTEMPTS) return await bisect(writer, group, error);
      // looked up only now: a batchId that was used before is a rare fault, and every group would pay for the question
      if (code === '23505')
        stored = await findStored(writer.deps.pool, writer.tenantId, group).catch(() => stored);
    }
  }
  return done;
}

function unavailable(cause: unknown): AppError {
  return new AppError('unavailable', { retryAfterMs: 1_000, cause });
}

/**
 * The database refused something that no check foresaw. Halving the group finds the culprit; the others are not its
 * hostages, and it alone gets an error.
 */
async function bisect(writer: Writer, group: Submission[], error: unknown): Promise<(PushVerdict | Error)[]> {
  if (group.length === 1) return [await refuseCulprit(writer, group[0] as Submission, error)];
  const middle = Math.ceil(group.length / 2);
  const first = await runGroup(writer, group.slice(0, middle));
  if (first.length < middle) return first;
  return [...first, ...(await runGroup(writer, group.slice(middle)))];
}

/** Stores a verdict for a batch the database refuses, so that it does not block the queue behind it (P5). */
async function refuseCulprit(
  writer: Writer,
  submission: Submission,
  cause: unknown,
): Promise<PushVerdict | Error> {
  const verdict = verdictOn(cause);
  if (!verdict) return new AppError('internal', { retryAfterMs: 5_000, cause });
  const results = submission.push.mutations.map((): MutationResult => ({ status: 'rejected', ...verdict }));
  try {
    const attempt = { locked: true, stored: new Map(), override: () => results };
    return (await commitGroup(writer, [submission], attempt))[0] ?? unavailable(cause);
  } catch (error) {
    return unavailable(error);
  }
}

/** What a batch is told that alone made the database, or this process, refuse; nothing where it is not at fault. */
function verdictOn(cause: unknown): { code: ErrorCode; message: string } | undefined {
  // a string longer than the engine can hold is a RangeError
  if (cause instanceof TooMuchAtOnce || cause instanceof RangeError)
    return {
      code: 'payload_too_large',
      message: 'The records it names are too large for one batch: split it.',
    };
  // 22: data the column types cannot hold; 54: over a limit of the database. Everything else is our fault or its
  const isUnfit = /^(22|54)/.test((cause as { code?: string }).code ?? '');
  return isUnfit ? { code: 'invalid_mutation', message: 'The database cannot hold it.' } : undefined;
}

/** Commits a group, or its first part when `judgeGroup` stops early: the result is as long as what was judged. */
async function commitGroup(
  writer: Writer,
  group: Submission[],
  attempt: Attempt,
): Promise<(PushVerdict | Error)[]> {
  const { deps, tenantId } = writer;
  const { collections } = deps;
  // what is numbered counts on, and what ends absent leaves no row to hold the guess against
  const certain = group.some(({ push }) =>
    push.mutations.some(
      ({ collection, op }) => op === 'delete' || collections.get(collection)?.numbered !== undefined,
    ),
  );
  const committed =
    attempt.locked || certain
      ? await inTransaction(deps.pool, tenantId, (tx) =>
          commitOn(tx, writer, group, { ...attempt, locked: true }),
        )
      : await commitOn(deps.pool, writer, group, attempt);
  remember(writer, committed.judgement);
  if (committed.group) writer.cache.take(committed.group.rows, committed.group.from);
  if (committed.group && committed.group.to > committed.group.from)
    deps.onCommitted(tenantId, committed.group);
  await deps.afterCommit?.();
  const base = committed.group?.from ?? 0;
  return committed.judgement.answers.map((answer) => (typeof answer === 'function' ? answer(base) : answer));
}

/** Loads what is not remembered, judges, writes: on the pool the write is the commit. */
async function commitOn(
  connection: Connection,
  writer: Writer,
  group: Submission[],
  attempt: Attempt,
): Promise<{ judgement: Judgement; group: Awaited<ReturnType<typeof writeGroup>> | undefined }> {
  const { deps, tenantId } = writer;
  const positions = await findPositions(connection, writer, group, attempt.locked);
  const [fresh, repeated] = partition(group, (submission) => isFresh(submission, positions));
  const before = await findStored(connection, tenantId, repeated);
  const stored = new Map([...attempt.stored, ...before]);
  const judged = attempt.override ? [] : fresh;
  const wanted = judged
    .concat(repeated.filter(({ sequenced }) => !sequenced))
    .flatMap(({ push }) => push.mutations);
  const loaded = await findRecords(connection, writer, wanted, attempt.locked);
  const numbered = wanted.filter(
    ({ collection }) => deps.collections.get(collection)?.numbered !== undefined,
  );
  const records = new WorkingSet(loaded, await lockCounters(connection, tenantId, numbered));
  const { collections } = deps;
  const judgement = judgeGroup(
    { collections, positions, records, stored, guessed: !attempt.locked, override: attempt.override },
    group,
  );
  const { decided: batches, advances } = judgement;
  if (batches.length === 0 && advances.length === 0) return { judgement, group: undefined };
  return { judgement, group: await writeGroup(connection, tenantId, { batches, advances, records }) };
}

/**
 * The records the mutations name: remembered ones as they are, the others from the database. A put that names no
 * version and no remembered record is taken to make a new one: if not, the write fails and the group runs again, locked.
 */
async function findRecords(
  connection: Connection,
  { tenantId, cache }: Writer,
  wanted: readonly Mutation[],
  locked: boolean,
): Promise<[string, WorkingRecord][]> {
  if (locked) return await loadRecords(connection, tenantId, wanted, true);
  const found: [string, WorkingRecord][] = [];
  const unknown: Mutation[] = [];
  for (const mutation of wanted) {
    const key = keyOf(mutation);
    const known = cache.find(key);
    if (known) found.push([key, known]);
    else if (mutation.op !== 'put' || mutation.baseVersion !== undefined) unknown.push(mutation);
  }
  return unknown.length === 0 ? found : found.concat(await loadRecords(connection, tenantId, unknown, false));
}

/** Whether a batch is new by its place; a write has none, and is looked up by its batchId each time. */
function isFresh(submission: Submission, positions: ReadonlyMap<string, ClientPosition>): boolean {
  const position = positions.get(clientKey(submission));
  return submission.sequenced && position !== undefined && submission.push.seq > position.lastSeq;
}

async function findPositions(
  connection: Connection,
  writer: Writer,
  group: readonly Submission[],
  locked: boolean,
): Promise<Map<string, ClientPosition>> {
  const sequenced = group.filter((submission) => submission.sequenced);
  if (locked) return await loadClients(connection, writer.tenantId, sequenced, true);
  const positions = new Map<string, ClientPosition>();
  const unknown: Submission[] = [];
  for (const submission of sequenced) {
    const key = clientKey(submission);
    const known = writer.positions.get(key);
    if (known) positions.set(key, known);
    else unknown.push(submission);
  }
  for (const [key, position] of await loadClients(connection, writer.tenantId, unknown, false)) {
    positions.set(key, position);
  }
  return positions;
}

function forget(writer: Writer | undefined): void {
  writer?.positions.clear();
  writer?.cache.clear();
}

function remember({ positions }: Writer, { advances }: Judgement): void {
  if (positions.size > MAX_POSITIONS) positions.clear();
  for (const { submission, last } of advances) {
    positions.set(clientKey(submission), { lastSeq: last, principal: submission.principalKey });
  }
}

/** The clock first, as the one statement of the unlocked path takes it: one order, or nodes would wait in a circle. */
const LOCK_CLOCK = {
  name: 'sync-lock-clock',
  text: 'SELECT 1 FROM sync_versions WHERE tenant_id = $1 FOR NO KEY UPDATE',
};

async function inTransaction<T>(
  pool: pg.Pool,
  tenantId: number,
  work: (tx: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const tx = await pool.connect();
  let broken: Error | undefined;
  // a connection that dies between two statements says so here; unheard, it would end the process
  const onError = (error: Error): void => void (broken = error);
  tx.on('error', onError);
  try {
    await tx.query('BEGIN');
    await tx.query({ ...LOCK_CLOCK, values: [tenantId] });
    const result = await work(tx);
    await tx.query('COMMIT');
    return result;
  } catch (error) {
    await tx.query('ROLLBACK').catch((failure: unknown) => (broken ??= failure as Error));
    throw broken === undefined ? error : new AppError('unavailable', { cause: error });
  } finally {
    tx.off('error', onError);
    tx.release(broken);
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const [yes, no]: [T[], T[]] = [[], []];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
