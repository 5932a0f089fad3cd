import { AppError } from '../../protocol/errors.ts';
import type { MutationResult, PushVerdict } from '../../protocol/sync.ts';
import type { Collections } from './collections.ts';
import type { Advance } from './commit.ts';
import { decideBatch } from './decide.ts';
import { clientKey } from './load.ts';
import type { ClientPosition, StoredResult } from './load.ts';
import type { DecidedBatch } from './rows.ts';
import type { Submission } from './submission.ts';
import type { WorkingSet } from './working-set.ts';

/** What a group is judged on. */
export interface Evidence {
  collections: Collections;
  positions: ReadonlyMap<string, ClientPosition>;
  records: WorkingSet;
  /** Results of batchIds of this group that were judged before, as far as they have been looked up. */
  stored: ReadonlyMap<string, StoredResult>;
  /** Rows are not locked: what is remembered of them may be wrong. */
  guessed?: boolean;
  /** Verdicts that are set already. */
  override?: ((submission: Submission) => MutationResult[]) | undefined;
}

/** The answer to a batch; a function where the tenant's position before the group is still needed for it. */
export type Answer = PushVerdict | AppError | ((base: number) => PushVerdict);

/**
 * What is written is held against the truth by the write; a refusal writes nothing that could be. So nobody is refused on
 * what this node remembers: the group is run again, on locked rows.
 */
export class StaleGuess extends Error {}

/** A group ends with the batch that takes it over this, in bytes of records: other tenants want their turn (P6). */
const GROUP_WORK = 1024 * 1024;

export interface Judgement {
  /**
   * As long as what was judged: it stops before a batch that conflicts with a version of the group's own, and when enough
   * has been done for one group.
   */
  answers: Answer[];
  decided: DecidedBatch[];
  advances: Advance[];
}

interface Seen {
  hash: string;
  clientId: string;
  answer: Answer;
}

/** How far a group has been judged. */
interface Progress {
  judgement: Judgement;
  positions: Map<string, ClientPosition>;
  advances: Map<string, Advance>;
  seen: Map<string, Seen>;
  /** What it has cost, in bytes of records. */
  work: number;
}

/**
 * Judges the batches of a group in their order; each sees what the ones before it did. Pure but for `records`. Throws
 * StaleGuess.
 */
export function judgeGroup(evidence: Evidence, group: readonly Submission[]): Judgement {
  const positions = new Map<string, ClientPosition>();
  for (const [key, position] of evidence.positions) positions.set(key, { ...position });
  const judgement: Judgement = { answers: [], decided: [], advances: [] };
  const progress: Progress = { judgement, positions, advances: new Map(), seen: new Map(), work: 0 };
  for (const submission of group) {
    if (!judgeNext(evidence, submission, progress)) break;
    if (evidence.guessed && isRefusal(judgement)) throw new StaleGuess();
    if (progress.work > GROUP_WORK) break;
  }
  judgement.advances.push(...progress.advances.values());
  return judgement;
}

/** False where the batch has to wait for the next group. */
function judgeNext(evidence: Evidence, submission: Submission, progress: Progress): boolean {
  const { judgement, positions, advances, seen } = progress;
  const place = placeOf(submission, positions);
  const repeated = place instanceof AppError ? undefined : findAnswer(evidence, submission, seen);
  if (place instanceof AppError) judgement.answers.push(place);
  else if (repeated || place === 'used') {
    judgement.answers.push(repeated ?? new AppError('seq_reuse'));
    // the same batch under a new number, salvaged by an installation that lost count: the number is used up (PU4)
    if (place === 'next' && repeated && !(repeated instanceof AppError))
      advance(submission, positions, advances);
  } else {
    const judged = judgeBatch(evidence, submission);
    if (!judged) return false;
    judgement.answers.push(judged.answer);
    judgement.decided.push(judged.decided);
    progress.work += judged.work;
    const { hash, clientId } = submission;
    seen.set(submission.push.batchId, { hash, clientId, answer: judged.answer });
    advance(submission, positions, advances);
  }
  return true;
}

/** Whether the last batch was refused, or anything of it. */
function isRefusal({ answers, decided }: Judgement): boolean {
  if (answers.at(-1) instanceof AppError) return true;
  return decided.at(-1)?.results.some(({ code }) => code !== undefined) ?? false;
}

/** Where a batch stands in its installation's sequence; a write (no sequence) is always next. */
function placeOf(
  submission: Submission,
  positions: ReadonlyMap<string, ClientPosition>,
): 'next' | 'used' | AppError {
  if (!submission.isAlive()) return new AppError('revoked');
  if (!submission.sequenced) return 'next';
  const position = positions.get(clientKey(submission));
  if (!position) return new AppError('hello_required');
  if (position.principal !== submission.principalKey) return new AppError('client_mismatch');
  const { seq } = submission.push;
  if (seq > position.lastSeq + 1) return new AppError('seq_gap', { expectedSeq: position.lastSeq + 1 });
  return seq <= position.lastSeq ? 'used' : 'next';
}

/** The answer this batchId was given before: `seq_reuse` when it was given to other content. */
function findAnswer(
  { stored }: Evidence,
  submission: Submission,
  seen: ReadonlyMap<string, Seen>,
): PushVerdict | AppError | ((base: number) => PushVerdict) | undefined {
  const { batchId, seq } = submission.push;
  const inGroup = seen.get(batchId);
  if (inGroup) {
    if (inGroup.hash !== submission.hash) return new AppError('seq_reuse');
    const { answer } = inGroup;
    if (typeof answer !== 'function') return answer;
    const isOwn = inGroup.clientId === submission.clientId;
    return (base) => {
      const verdict = answer(base);
      return {
        ...verdict,
        seq,
        replay: true,
        results: isOwn ? verdict.results : withoutConflicts(verdict.results),
      };
    };
  }
  const before = stored.get(batchId);
  if (!before) return undefined;
  if (before.hash.toString('hex') !== submission.hash) return new AppError('seq_reuse');
  // what a conflict showed was meant for the installation that met it
  const own = !submission.sequenced || before.client_id === submission.clientId;
  const results = own ? before.results : withoutConflicts(before.results);
  return { ...toVerdict(seq, results, before.version), replay: true };
}

function withoutConflicts(results: readonly MutationResult[]): MutationResult[] {
  return results.map(({ conflict: _, ...result }) => result);
}

function advance(
  submission: Submission,
  positions: Map<string, ClientPosition>,
  advances: Map<string, Advance>,
): void {
  if (!submission.sequenced) return;
  const key = clientKey(submission);
  const position = positions.get(key);
  if (position) position.lastSeq = submission.push.seq;
  const count = (advances.get(key)?.count ?? 0) + 1;
  advances.set(key, { submission, last: submission.push.seq, count });
}

/** Judges one batch; undefined when it conflicts with a version of this very group, whose number is not known yet. */
function judgeBatch(
  evidence: Evidence,
  submission: Submission,
): { answer: Answer; decided: DecidedBatch; work: number } | undefined {
  const { push } = submission;
  const { records, override } = evidence;
  const context = { ...submission, collections: evidence.collections, records };
  const decision = override
    ? { results: override(submission), deferred: false, work: 0 }
    : decideBatch(context, push.mutations, push.atomic ?? true);
  if (decision.deferred) return undefined;
  const { changes, place } = override ? { changes: [], place: null } : records.accept();
  return {
    answer: (base) => toVerdict(push.seq, decision.results, place === null ? null : base + place),
    decided: { submission, results: decision.results, changes, place },
    work: decision.work,
  };
}

/** Puts a decision into the form of the acknowledgement; the version of an applied mutation is its batch's. */
function toVerdict(seq: number, results: readonly MutationResult[], version: number | null): PushVerdict {
  const given = results.map((result) =>
    result.code === undefined && version !== null ? { ...result, version } : result,
  );
  return { ok: true, seq, version, results: given };
}
