import type { Mutation } from '../protocol/sync.ts';
import type { InboxEntry, QueuedBatch, Settlement } from '../sdk/store.ts';
import { batchIdOf } from './batch-id.ts';
import type { Enqueue } from './creates.ts';
import { queueCreates } from './creates.ts';
import { sqliteFaultOf } from './errors.ts';
import { toId } from './convert.ts';
import type { OpenAct } from './ledger.ts';
import { rebuild } from './rebuild.ts';
import type { RecreateOptions } from './recreate.ts';
import { createOf } from './recreate.ts';
import type { RecordUnit } from './units.ts';

/**
 * Sends a refused batch again, under a batchId of its own. By itself only what was refused because the centre has lost
 * the records of its movements, and only once: the records are created first. An atomic batch that was refused has
 * changed nothing, so nothing is doubled; its new batchId follows from the old one, in a restored copy too.
 * What cannot be sent again stays in the inbox and is tried later: it must hold up nothing else.
 */

export interface Resender {
  /** Batches that could not be sent again so far. */
  readonly failing: number;
  /** Run inside the transaction that settles the batch; `enqueue` too is part of it. */
  settle(batch: QueuedBatch, settlement: Settlement, enqueue: Enqueue): void;
  /** The batchId under which a batch was sent again by itself, while that one waits for its verdict. */
  findSuccessor(batchId: string): string | undefined;
  /** Whether one that was asked for, or could not be sent again, is to be tried now. Looks at memory alone. */
  hasDue(): boolean;
  /** Whether anything is to be sent again now: that, or what people asked for with `agent inbox --retry`. */
  hasRetries(): boolean;
  /** Queues it; acts are returned that are to be built anew. Run inside a transaction. */
  takeRetries(enqueue: Enqueue): Retries;
  /** That batch is to be built anew at the next step. Run inside a transaction. */
  ask(batchId: string): void;
}

export interface Retries {
  resent: Resent[];
  anew: OpenAct[];
  /** Records, from their rows as they are now. */
  records: RecordUnit[];
}

export interface Resent {
  batchId: string;
  as: string;
}

export interface ResendOptions extends RecreateOptions {
  /** Told what could not be sent again, each time. */
  onFault?: ((event: string, error: unknown) => void) | undefined;
}

export const RESEND_FAILING = 'resend_failing';

/** Pauses before one that failed is tried again, at first and at most. */
const RETRY_MS = { first: 1_000, most: 60_000 };
/** In one transaction. */
const TAKE = 100;

export function createResender(options: ResendOptions): Resender {
  return new BatchResender(options);
}

class BatchResender implements Resender {
  readonly #options: ResendOptions;
  readonly #statements = new Map<string, ReturnType<RecreateOptions['database']['prepare']>>();
  /** By batchId. After a start everything is tried at once. */
  readonly #waits = new Map<string, { tries: number; dueAt: number }>();

  #isAsked = false;

  constructor(options: ResendOptions) {
    this.#options = options;
  }

  get failing(): number {
    return this.#waits.size;
  }

  settle(batch: QueuedBatch, settlement: Settlement, enqueue: Enqueue): void {
    for (const { op, collection, id } of batch.mutations)
      if (op === 'put')
        this.#run('DELETE FROM sluice_agent_recreated WHERE collection = ? AND id = ?', collection, id);
    const isSecond = this.#run('DELETE FROM sluice_agent_again WHERE batch_id = ?', batch.batchId) > 0;
    const lost = isSecond ? [] : lostRecords(batch, settlement);
    if (lost.length === 0) return;
    const note = (): void => {
      const insert =
        'INSERT INTO sluice_agent_again (batch_id, first_id) VALUES (?, ?) ON CONFLICT DO NOTHING';
      this.#run(insert, successorOf(batch.batchId), batch.batchId);
    };
    const fault = this.#attempt(batch.batchId, () => {
      const creates = lost.map((one) => createOf(this.#options, one)).filter((one) => one !== undefined);
      if (creates.length < lost.length) return;
      this.#resend(batch, creates, enqueue);
      note();
    });
    if (fault === undefined) return;
    note();
    this.#run('INSERT INTO sluice_agent_retry (batch_id) VALUES (?) ON CONFLICT DO NOTHING', batch.batchId);
    this.#tell(batch.batchId, fault);
  }

  ask(batchId: string): void {
    this.#run('INSERT INTO sluice_agent_retry (batch_id) VALUES (?) ON CONFLICT DO NOTHING', batchId);
    this.#isAsked = true;
  }

  findSuccessor(batchId: string): string | undefined {
    const select = `SELECT batch_id AS id FROM sluice_agent_again WHERE first_id = ?1
      AND NOT EXISTS (SELECT 1 FROM sluice_agent_retry WHERE batch_id = ?1)`;
    return (this.#prepare(select).get(batchId) as { id: string } | undefined)?.id;
  }

  hasDue(): boolean {
    const now = performance.now();
    return this.#isAsked || [...this.#waits.values()].some(({ dueAt }) => dueAt <= now);
  }

  hasRetries(): boolean {
    return this.#due().length > 0;
  }

  takeRetries(enqueue: Enqueue): Retries {
    this.#isAsked = false;
    const sent: Resent[] = [];
    const records = new Map<string, RecordUnit>();
    const anew: OpenAct[] = [];
    const faults: [batchId: string, fault: string][] = [];
    for (const batchId of this.#due().slice(0, TAKE)) {
      const batch = this.#findEntry(batchId);
      const isRebuilt = this.#takeAnew(batchId, batch, { anew, records });
      if (!batch || isRebuilt) {
        this.#forget(batchId);
        continue;
      }
      const fault = this.#attempt(batchId, () => this.#retry(batch, enqueue));
      if (fault === undefined) sent.push({ batchId, as: successorOf(batchId) });
      else faults.push([batchId, fault]);
    }
    const [first] = faults;
    if (first) this.#tell(first[0], faults.length === 1 ? first[1] : `${first[1]} (one of ${faults.length})`);
    return { resent: sent, anew, records: [...records.values()] };
  }

  /** Whether it is built anew from its rows, rather than sent as it was. */
  #takeAnew(
    batchId: string,
    entry: InboxEntry | undefined,
    { anew, records }: { anew: OpenAct[]; records: Map<string, RecordUnit> },
  ): boolean {
    const open = this.#options.ledger.findOpenActOf(batchId);
    if (!open) return entry !== undefined && this.#takeRebuilt(entry.batch, records);
    if (entry && lostRecords(entry.batch, { batchId, ...entry }).length > 0) return false;
    const isThere = entry !== undefined || isLocal(batchId);
    if (isThere) anew.push(open);
    return isThere;
  }

  /** Whether it is of records alone. Planned, they settle the entry; of rows that are gone nothing is left to send. */
  #takeRebuilt(batch: QueuedBatch, records: Map<string, RecordUnit>): boolean {
    const { ledger, partition } = this.#options;
    const rebuilt = rebuild(this.#options, batch);
    if (!rebuilt) return false;
    for (const unit of rebuilt.units) {
      const { mapping, row } = unit;
      const id = toId(mapping.id, partition, row.new ?? {});
      ledger.noteRefused(batch.batchId, { collection: mapping.collection, id, act: mapping.name });
      records.set(`${mapping.name} ${id}`, unit);
    }
    for (const { mapping, mutation } of rebuilt.gone)
      ledger.settleRefused({ collection: mapping.collection, id: mutation.id, act: mapping.name });
    if (rebuilt.units.length === 0) ledger.dismiss(batch.batchId);
    return true;
  }

  #retry({ batch, ...entry }: InboxEntry, enqueue: Enqueue): void {
    const lost = lostRecords(batch, { batchId: batch.batchId, ...entry });
    const creates = lost.map((one) => createOf(this.#options, one)).filter((one) => one !== undefined);
    this.#resend(batch, creates, enqueue);
    this.#run('DELETE FROM sluice_agent_retry WHERE batch_id = ?', batch.batchId);
  }

  #resend({ batchId, mutations, atomic }: QueuedBatch, creates: readonly Mutation[], enqueue: Enqueue): void {
    const { refused } = queueCreates(
      creates.filter((one) => this.#isFirst(one)),
      enqueue,
    );
    const [first] = refused;
    if (first) throw new Error(`${first.create.collection}/${first.create.id}: ${first.detail}`);
    enqueue({ batchId: successorOf(batchId), mutations, ...(atomic === undefined ? {} : { atomic }) });
    this.#run('DELETE FROM sluice_inbox WHERE batch_id = ?', batchId);
    const open = this.#options.ledger.findOpenActOf(batchId);
    if (open) this.#options.ledger.putOpenAct({ ...open, state: 'queued', entry: successorOf(batchId) });
  }

  /** Whether its creation is not under way yet; notes that it is. */
  #isFirst({ collection, id }: Mutation): boolean {
    const insert = 'INSERT INTO sluice_agent_recreated (collection, id) VALUES (?, ?) ON CONFLICT DO NOTHING';
    this.#options.ledger.remember(collection, id);
    return this.#run(insert, collection, id) > 0;
  }

  /**
   * All of fn or nothing of it. Returns what is in the way of this one batch; faults of the database that pass are
   * thrown, for they concern the transaction as a whole.
   */
  #attempt(batchId: string, fn: () => void): string | undefined {
    const { database } = this.#options;
    database.exec('SAVEPOINT sluice_resend');
    try {
      fn();
      database.exec('RELEASE sluice_resend');
      this.#waits.delete(batchId);
      return undefined;
    } catch (error) {
      const fault = sqliteFaultOf(error);
      if (fault !== undefined && fault !== 'other') throw error;
      database.exec('ROLLBACK TO sluice_resend; RELEASE sluice_resend');
      const tries = (this.#waits.get(batchId)?.tries ?? 0) + 1;
      const waitMs = Math.min(RETRY_MS.first * 2 ** (tries - 1), RETRY_MS.most);
      this.#waits.set(batchId, { tries, dueAt: performance.now() + waitMs });
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Those that are noted and not waiting; what is waited for and not noted any more is forgotten. */
  #due(): string[] {
    const rows = this.#prepare('SELECT batch_id AS id FROM sluice_agent_retry').all() as { id: string }[];
    const noted = new Set(rows.map(({ id }) => id));
    for (const batchId of this.#waits.keys()) if (!noted.has(batchId)) this.#waits.delete(batchId);
    const now = performance.now();
    return [...noted].filter((batchId) => (this.#waits.get(batchId)?.dueAt ?? 0) <= now);
  }

  #findEntry(batchId: string): InboxEntry | undefined {
    const select = 'SELECT body FROM sluice_inbox WHERE batch_id = ? ORDER BY n DESC LIMIT 1';
    const row = this.#prepare(select).get(batchId) as { body: string } | undefined;
    return row && (JSON.parse(row.body) as InboxEntry);
  }

  /** It was dismissed meanwhile. */
  #forget(batchId: string): void {
    this.#waits.delete(batchId);
    this.#run('DELETE FROM sluice_agent_retry WHERE batch_id = ?', batchId);
    this.#run('DELETE FROM sluice_agent_again WHERE first_id = ?', batchId);
  }

  #tell(batchId: string, fault: string): void {
    this.#options.onFault?.(RESEND_FAILING, new Error(`batch ${batchId}: ${fault}`));
  }

  #prepare(sql: string): ReturnType<RecreateOptions['database']['prepare']> {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.#options.database.prepare(sql)));
    return statement;
  }

  #run(sql: string, ...params: string[]): number {
    return this.#prepare(sql).run(...params).changes;
  }
}

/** The number of an entry that was refused here. */
function isLocal(entry: string): boolean {
  return /^\d+$/.test(entry);
}

function successorOf(batchId: string): string {
  return batchIdOf(`${batchId} again`);
}

/** The records that are to be created, when nothing else is in the batch's way. */
function lostRecords({ atomic, mutations }: QueuedBatch, { verdict }: Settlement): Mutation[] {
  if (atomic === false || !verdict) return [];
  const codes = verdict.results.map(({ code }) => code);
  if (codes.some((code) => code !== undefined && code !== 'not_found' && code !== 'batch_refused')) return [];
  return mutations.filter((_, at) => codes[at] === 'not_found');
}
