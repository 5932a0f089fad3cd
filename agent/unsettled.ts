import type { Mutation } from '../protocol/sync.ts';
import type { InboxEntry } from '../sdk/store.ts';
import type { Sql } from './ledger.ts';

/** Records of which something was refused, and their entries in the inbox: a correction carries it, and settles them. */
export interface Unsettled {
  /** Fields that were refused with their values; undefined: nothing of the record waits in the inbox. */
  refusedFields(record: RecordName): readonly string[] | undefined;
  /** Whether something of it was refused in another batch than that. */
  isRefusedBeside(record: RecordName, batchId: string): boolean;
  noteRefused(batchId: string, record: RecordName): void;
  /** Takes the entries of a record out of the inbox, but for those that name others too. Returns their batchIds. */
  settleRefused(record: RecordName): string[];
}

export interface RecordName {
  collection: string;
  id: string;
  /** Its mapping: what was refused here goes by that name. */
  act: string;
}

export function unsettledPart(sql: Sql): Unsettled {
  const batchesOf = ({ collection, id }: RecordName): string[] => {
    const select = 'SELECT batch_id AS id FROM sluice_agent_unsettled WHERE collection = ? AND id = ?';
    return (sql(select).all(collection, id) as { id: string }[]).map((row) => row.id);
  };
  const fieldsIn = (batchId: string, record: RecordName): string[] => {
    const row = sql('SELECT body FROM sluice_inbox WHERE batch_id = ?').get(batchId) as
      { body: string } | undefined;
    const { batch } = row ? (JSON.parse(row.body) as InboxEntry) : { batch: { mutations: [] } };
    return (batch.mutations as readonly Mutation[])
      .filter(({ collection, id }) => collection === record.collection && id === record.id)
      .flatMap(({ data, set, unset = [] }) => [...Object.keys(data ?? set ?? {}), ...unset]);
  };
  return {
    refusedFields(record) {
      const batches = batchesOf(record);
      if (batches.length > 0) return [...new Set(batches.flatMap((one) => fieldsIn(one, record)))];
      const select = 'SELECT 1 FROM sluice_agent_refused WHERE act IN (?, ?) AND key = ? LIMIT 1';
      return sql(select).get(record.act, record.collection, record.id) === undefined ? undefined : [];
    },
    isRefusedBeside: (record, batchId) => batchesOf(record).some((one) => one !== batchId),
    noteRefused(batchId, { collection, id }) {
      const insert =
        'INSERT INTO sluice_agent_unsettled (collection, id, batch_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING';
      sql(insert).run(collection, id, batchId);
    },
    settleRefused(record) {
      const { collection, id, act } = record;
      const batches = batchesOf(record);
      sql('DELETE FROM sluice_agent_unsettled WHERE collection = ? AND id = ?').run(collection, id);
      sql('DELETE FROM sluice_agent_refused WHERE act IN (?, ?) AND key = ?').run(act, collection, id);
      const others = sql('SELECT 1 FROM sluice_agent_unsettled WHERE batch_id = ? LIMIT 1');
      const settled = batches.filter((batchId) => others.get(batchId) === undefined);
      for (const batchId of settled) {
        sql('DELETE FROM sluice_inbox WHERE batch_id = ?').run(batchId);
        sql('DELETE FROM sluice_agent_retry WHERE batch_id = ?').run(batchId);
      }
      return settled;
    },
  };
}
