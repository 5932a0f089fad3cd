import type { Mutation, MutationResult } from '../protocol/sync.ts';
import type { Database, FileStoreHooks } from '../sdk/file-store.ts';
import type { QueuedBatch, Settlement } from '../sdk/store.ts';
import { replicaTable } from './capture.ts';
import { toId } from './convert.ts';
import type { DownRecord, TableWriter } from './down-tables.ts';
import { createTableWriter } from './down-tables.ts';
import type { Resender } from './resend.ts';
import type { Ledger } from './ledger.ts';
import { quoteName } from './literal.ts';
import type { DownMapping, Mapping } from './mapping.ts';

/**
 * Writes what comes down into local tables, inside the store's transaction: it is there exactly when the cursor says so.
 * While changes of our own to a record are under way, what comes down about it is older than what is here: it waits
 * until they are settled and the record has come back with them.
 */

export interface DownTargets {
  hooks: FileStoreHooks;
  /** Notes the records of a batch that the centre may write too. Run inside the transaction that queues it. */
  track(batchId: string, mutations: readonly Mutation[]): void;
  /** Applies what had to wait and need not any more. Run inside a transaction. */
  applyDeferred(): void;
}

export interface DownOptions {
  database: Database;
  ledger: Ledger;
  mapping: Mapping;
  resender: Resender;
  partition: string;
  now: () => Date;
  /** False only in the test that must see what comes of it: changes are echoed. */
  guard?: boolean;
}

export function createDownTargets(options: DownOptions): DownTargets {
  const { database, ledger, mapping, resender } = options;
  const { replicas, owned } = splitTargets(mapping);
  const fields = trackedFields(owned);
  const writer = createTableWriter(database, ledger, options.now);
  const guarded = createGuard(database, options.guard !== false && owned.length > 0);
  const captured = (): Set<string> => (owned.length > 0 ? capturedIds(options, fields) : new Set());

  const { write, remove } = createWriters(options, { replicas, owned }, writer);
  const applyDeferred = (): void => {
    const deferred = owned.length > 0 ? ledger.deferred() : [];
    if (deferred.length === 0) return;
    const waiting = captured();
    guarded(() => {
      for (const { collection, id } of deferred) {
        const record = writer.findRecord(collection, id);
        if (record) write(record, waiting);
        else ledger.undefer(collection, id);
      }
    });
  };
  const track: DownTargets['track'] = (batchId, mutations) => {
    for (const { collection, id, data, set } of mutations) {
      const touched = Object.keys(data ?? set ?? {});
      if (touched.some((field) => fields.get(collection)?.has(field)))
        ledger.addPending(batchId, collection, id);
    }
  };
  const each = <T>(items: readonly T[], fn: (item: T, waiting: ReadonlySet<string>) => void): void => {
    const waiting = captured();
    guarded(() => items.forEach((item) => fn(item, waiting)));
  };
  const hooks: FileStoreHooks = {
    onApply: (changes) =>
      each(changes, (change, waiting) => {
        if (change.op === 'put') write({ ...change, data: change.data ?? {} }, waiting);
        else remove(change.collection, change.id, change.recordVersion);
      }),
    onSnapshotRecords: (records) => each(records, write),
    onDiscard: () => emptyReplicas(database, replicas),
    // What it has not got, the centre does not have: it is to be created again.
    onSnapshotEnd: () => ledger.forgetMissing([...new Set(mapping.down.map((one) => one.collection))]),
    onSettled: (settled, _database, enqueue) => {
      for (const { batch, settlement } of settled) {
        settleBatch({ ledger, fields, database }, batch, settlement);
        for (const one of resender.settle(batch, settlement, enqueue)) track(one.batchId, one.mutations);
      }
      applyDeferred();
    },
  };
  return { hooks, track, applyDeferred };
}

function createWriters(
  { ledger, partition }: DownOptions,
  { replicas, owned }: ReturnType<typeof splitTargets>,
  writer: TableWriter,
): {
  write: (record: DownRecord, waiting: ReadonlySet<string>) => void;
  remove: (collection: string, id: string, recordVersion: number) => void;
} {
  const write = (record: DownRecord, waiting: ReadonlySet<string>): void => {
    const { collection, id } = record;
    for (const target of replicas) if (concerns(target, record, partition)) writer.putReplica(target, record);
    const targets = owned.filter((target) => concerns(target, record, partition));
    if (targets.length === 0) return;
    ledger.clearPending(collection, id, record.recordVersion);
    if (ledger.isPending(collection, id) || waiting.has(`${collection}\n${id}`)) ledger.defer(collection, id);
    else {
      ledger.undefer(collection, id);
      for (const target of targets) writer.putOwned(target, record);
    }
  };
  const remove = (collection: string, id: string, recordVersion: number): void => {
    ledger.forget(collection, id);
    ledger.clearPending(collection, id, recordVersion);
    ledger.undefer(collection, id);
    for (const target of replicas) if (target.collection === collection) writer.removeReplica(target, id);
  };
  return { write, remove };
}

function emptyReplicas(database: Database, replicas: readonly DownMapping[]): void {
  for (const { table } of replicas) database.exec(`DELETE FROM ${quoteName(replicaTable(table))}`);
}

/** Runs fn while the triggers look away. The flag never outlives the transaction. */
function createGuard(database: Database, on: boolean): (fn: () => void) => void {
  if (!on) return (fn) => fn();
  const set = database.prepare('UPDATE sluice_agent_guard SET applying = ?');
  return (fn) => {
    set.run(1);
    fn();
    set.run(0);
  };
}

type Fields = ReadonlyMap<string, ReadonlySet<string>>;

function splitTargets({ down }: Mapping): { replicas: DownMapping[]; owned: DownMapping[] } {
  return { replicas: down.filter((one) => one.replica), owned: down.filter((one) => !one.replica) };
}

function concerns({ collection, partitions }: DownMapping, record: DownRecord, own: string): boolean {
  if (collection !== record.collection) return false;
  return partitions === 'all' || (record.partition === own) === (partitions === 'own');
}

/** Fields that go into tables of the ERP, by collection: only they can be written from both sides. */
function trackedFields(owned: readonly DownMapping[]): Fields {
  const fields = new Map<string, Set<string>>();
  for (const { collection, columns } of owned) {
    const known = fields.get(collection) ?? new Set<string>();
    fields.set(collection, known);
    for (const { field } of Object.values(columns)) known.add(field);
  }
  return fields;
}

/** Records with changes that are captured and not queued yet. */
function capturedIds({ ledger, mapping, partition }: DownOptions, fields: Fields): Set<string> {
  const ids = new Set<string>();
  const records = mapping.records.filter((one) => fields.has(one.collection));
  if (records.length === 0 || !ledger.hasCaptured()) return ids;
  for (const row of ledger.capturedOf(records.map((one) => one.table))) {
    for (const { table, id, collection } of records) {
      const values = row.new ?? row.old;
      if (table === row.table && values) ids.add(`${collection}\n${idOrNothing(id, partition, values)}`);
    }
  }
  return ids;
}

function idOrNothing(...args: Parameters<typeof toId>): string {
  try {
    return toId(...args);
  } catch {
    return ''; // It names no record: the planner will say so.
  }
}

interface SettleContext {
  ledger: Ledger;
  fields: Fields;
  database: Database;
}

function settleBatch(context: SettleContext, batch: QueuedBatch, { verdict }: Settlement): void {
  let isHarmless = batch.atomic === false;
  for (const [at, mutation] of batch.mutations.entries()) {
    const outcome = outcomeOf(mutation, verdict?.results[at]);
    if (outcome === 'refused') isHarmless = false;
    if (outcome === 'refused' && mutation.op === 'put')
      context.ledger.forget(mutation.collection, mutation.id);
    if (!context.fields.has(mutation.collection)) continue;
    const version = outcome === 'applied' ? (verdict?.version ?? undefined) : undefined;
    settleRecord(context, { batchId: batch.batchId, ...mutation, version });
  }
  if (isHarmless) context.database.prepare('DELETE FROM sluice_inbox WHERE batch_id = ?').run(batch.batchId);
}

function outcomeOf({ op }: Mutation, result: MutationResult | undefined): 'applied' | 'there' | 'refused' {
  if (result?.status === 'applied' || result?.status === 'merged') return 'applied';
  // A record to be created was there already: that is as good. Anything else is tried again next time.
  return result?.code === 'stale_version' && op === 'put' ? 'there' : 'refused';
}

/** A refused change gives way to what the centre has; an applied one waits until the record comes down with it. */
function settleRecord(
  { ledger, database }: SettleContext,
  {
    batchId,
    collection,
    id,
    version,
  }: { batchId: string; collection: string; id: string; version: number | undefined },
): void {
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
