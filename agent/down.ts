import type { Database, FileStoreHooks } from '../sdk/file-store.ts';
import { replicaTable } from './capture.ts';
import { askAgain } from './claim.ts';
import { toId } from './convert.ts';
import type { Enqueue } from './creates.ts';
import type { DownRecord, TableWriter } from './down-tables.ts';
import { createTableWriter } from './down-tables.ts';
import type { Resender } from './resend.ts';
import { settleBatch } from './settle.ts';
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
  /** An `enqueue` that notes the records of its batches that the centre may write too. */
  tracking(enqueue: Enqueue): Enqueue;
  /** Applies what had to wait and need not any more. Run inside a transaction. */
  applyDeferred(): void;
  /** Whether nobody needs to hear that this batch was not applied: what it brings is there. */
  isHarmless(batchId: string): boolean;
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

  const harmless = new Set<string>();
  const noteHarmless = (batchId: string): void => {
    harmless.add(batchId);
    ledger.dismiss(batchId);
  };
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
  const tracking: DownTargets['tracking'] = (enqueue) => (batch) => {
    const queued = enqueue(batch);
    for (const { collection, id, data, set } of queued.mutations) {
      const touched = Object.keys(data ?? set ?? {});
      if (touched.some((field) => fields.get(collection)?.has(field)))
        ledger.addPending(queued.batchId, collection, id);
    }
    return queued;
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
    onDiscard: () => {
      emptyReplicas(database, replicas);
      askAgain(ledger);
    },
    // What it has not got, the centre does not have: it is to be created again.
    onSnapshotEnd: () => ledger.forgetMissing([...new Set(mapping.down.map((one) => one.collection))]),
    onSettled: (settled, _database, enqueue) => {
      for (const { batch, settlement } of settled) {
        if (settleBatch({ ...options, fields }, batch, settlement)) noteHarmless(batch.batchId);
        resender.settle(batch, settlement, tracking(enqueue));
      }
      applyDeferred();
    },
  };
  return { hooks, tracking, applyDeferred, isHarmless: (batchId) => harmless.delete(batchId) };
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
