import { canonicalJson } from '../protocol/canonical.ts';
import type { Mutation, MutationResult } from '../protocol/sync.ts';
import type { Database } from '../sdk/file-store.ts';
import type { QueuedBatch, Settlement } from '../sdk/store.ts';
import { isClaim, settleClaim } from './claim.ts';
import type { Ledger, OpenAct } from './ledger.ts';
import type { Mapping } from './mapping.ts';
import type { Resender } from './resend.ts';
import type { RecordName } from './unsettled.ts';

/** What a verdict means here: for acts that were on their way, and for records that both sides write. */

export interface SettleContext {
  ledger: Ledger;
  mapping: Mapping;
  /** Fields that go into tables of the ERP, by collection. */
  fields: ReadonlyMap<string, ReadonlySet<string>>;
  database: Database;
  partition: string;
  now: () => Date;
  resender: Pick<Resender, 'ask'>;
}

/** Returns whether nobody needs to deal with the batch although it was not applied: then it leaves the inbox. */
export function settleBatch(context: SettleContext, batch: QueuedBatch, settlement: Settlement): boolean {
  const { ledger, partition } = context;
  if (isClaim(batch, partition)) {
    settleClaim(ledger, settlement);
    return settlement.outcome !== 'applied';
  }
  const isAct = isOfAct(context, batch);
  const isKnown = settleAct(context, batch, settlement);
  const outcomes = batch.mutations.map((one, at) => outcomeOf(one, settlement.verdict?.results[at]));
  for (const [at, outcome] of outcomes.entries())
    settleMutation(context, batch, { at, outcome, settlement, isKnown, isAct });
  const isCreation = batch.atomic === false && !outcomes.includes('refused');
  return settlement.outcome !== 'applied' && (isKnown || isCreation);
}

interface Settling {
  at: number;
  outcome: Outcome;
  settlement: Settlement;
  isKnown: boolean;
  isAct: boolean;
}

function settleMutation(context: SettleContext, batch: QueuedBatch, settling: Settling): void {
  const { at, outcome, settlement, isKnown, isAct } = settling;
  const mutation = batch.mutations[at];
  if (!mutation) return;
  const { batchId } = batch;
  if (outcome === 'refused' && !isKnown) forgetRefused(context, batch, settling);
  if (!isAct && !isKnown) noteOutcome(context, { batchId, mutation, outcome });
  const version = outcome === 'applied' ? (settlement.verdict?.version ?? undefined) : undefined;
  settleRecord(context, { batchId, ...mutation, version });
}

function isOfAct({ ledger, mapping }: SettleContext, { batchId }: QueuedBatch): boolean {
  const open = ledger.findOpenActOf(batchId);
  return open !== undefined && mapping.acts.some(({ name }) => name === open.act);
}

/** Of a record by itself: what is refused waits for its correction; what is accepted with those fields is one. */
function noteOutcome(
  { ledger, mapping }: SettleContext,
  { batchId, mutation, outcome }: { batchId: string; mutation: Mutation; outcome: Outcome },
): void {
  const record = recordOf(mapping, mutation);
  if (!record) return;
  if (outcome === 'refused') ledger.noteRefused(batchId, record);
  const refused = outcome === 'applied' ? (ledger.refusedFields(record) ?? []) : [];
  if (refused.length === 0) return;
  const { op, set = {}, unset = [] } = mutation;
  const given = new Set([...Object.keys(set), ...unset]);
  if (op !== 'patch' || refused.every((field) => given.has(field))) ledger.settleRefused(record);
}

/** A record whose put was refused was never made: with what was to be changed in it, it is made as it is now. */
function forgetRefused(
  { ledger, mapping, resender }: SettleContext,
  { batchId, mutations }: QueuedBatch,
  { at, settlement }: Settling,
): void {
  const mutation = mutations[at];
  if (mutation?.op === 'put') ledger.forget(mutation.collection, mutation.id);
  const record = mutation && recordOf(mapping, mutation);
  const isNotThere = settlement.verdict?.results[at]?.code === 'not_found';
  if (record && isNotThere && ledger.isRefusedBeside(record, batchId)) resender.ask(batchId);
}

function recordOf({ records }: Mapping, { collection, id, increment }: Mutation): RecordName | undefined {
  const found = increment === undefined ? records.find((one) => one.collection === collection) : undefined;
  return found && { collection, id, act: found.name };
}

/** Returns whether the act is from before the agent, and the centre has it from an installation before this one. */
function settleAct(context: SettleContext, batch: QueuedBatch, settlement: Settlement): boolean {
  const { ledger, mapping } = context;
  const open = ledger.findOpenActOf(batch.batchId);
  if (!open) return false;
  const wasSent = wasSentBefore(open, settlement);
  const isKnown = wasSent || (open.older && isThere(ledger, batch, settlement));
  const isAct = mapping.acts.some(({ name }) => name === open.act);
  if (settlement.outcome === 'applied' || isKnown || !isAct) ledger.closeAct(open.act, open.key);
  else ledger.putOpenAct({ ...open, state: 'refused' });
  if (wasSent) tellSentBefore(context, batch, open);
  return isKnown;
}

/** A movement that stands for itself, whose batchId is known with other content: sent anew it might count twice. */
function wasSentBefore({ older, key }: OpenAct, { error }: Settlement): boolean {
  return older && !key.startsWith('[') && error?.code === 'seq_reuse';
}

function tellSentBefore({ ledger, now }: SettleContext, batch: QueuedBatch, { act, key }: OpenAct): void {
  const detail = `${key} was sent by an installation before this one, with another content, and is not sent again: compare what the centre has with the books`;
  const id = batch.mutations[0]?.id ?? key;
  ledger.refuse({ act, key: id, reason: 'sent_before', rows: 1, detail }, now().toISOString());
}

const TAKEN = new Set<string | undefined>(['already_exists', 'stale_version']);

/** Refused for nothing but that its record is there, with the same content as far as that is to be seen. */
function isThere(ledger: Ledger, { mutations }: QueuedBatch, { verdict }: Settlement): boolean {
  const taken = mutations.filter((_, at) => TAKEN.has(verdict?.results[at]?.code));
  const others = verdict?.results.some(({ code }) => !TAKEN.has(code) && code !== 'batch_refused') ?? true;
  if (others || taken.length === 0) return false;
  return taken.every(({ op, collection, id, data }) => {
    const known = ledger.findData(collection, id);
    return op === 'put' && (!known || canonicalJson(known) === canonicalJson(data));
  });
}

type Outcome = 'applied' | 'there' | 'refused';

function outcomeOf({ op }: Mutation, result: MutationResult | undefined): Outcome {
  if (result?.status === 'applied' || result?.status === 'merged') return 'applied';
  // A record to be created was there already: that is as good. Anything else is tried again next time.
  return result?.code === 'stale_version' && op === 'put' ? 'there' : 'refused';
}

/** A refused change gives way to what the centre has; an applied one waits until the record comes down with it. */
function settleRecord(
  { ledger, database, fields }: SettleContext,
  {
    batchId,
    collection,
    id,
    version,
  }: { batchId: string; collection: string; id: string; version: number | undefined },
): void {
  if (!fields.has(collection)) return;
  ledger.settlePending(batchId, collection, id, version);
  if (version === undefined) ledger.defer(collection, id);
  const stored = storedVersion(database, collection, id);
  // It may have come down before its verdict.
  if (version !== undefined && stored >= version) ledger.clearPending(collection, id, stored);
}

function storedVersion(database: Database, collection: string, id: string): number {
  const select = 'SELECT record_version AS v FROM sluice_records WHERE collection = ? AND id = ?';
  const row = database.prepare(select).get(collection, id) as { v: number } | undefined;
  return row?.v ?? 0;
}
