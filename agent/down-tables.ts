import type { RecordData } from '../protocol/sync.ts';
import type { Database } from '../sdk/file-store.ts';
import { replicaTable } from './capture.ts';
import { toLocal } from './convert.ts';
import { sqliteFaultOf } from './errors.ts';
import type { Ledger } from './ledger.ts';
import type { Value } from './literal.ts';
import { quoteName } from './literal.ts';
import type { DownMapping } from './mapping.ts';

/** The statements that write records into tables: the agent's replica tables, and the ERP's own. */

export interface DownRecord {
  collection: string;
  id: string;
  partition: string;
  data: RecordData;
  recordVersion: number;
}

export interface TableWriter {
  putReplica(target: DownMapping, record: DownRecord): void;
  removeReplica(target: DownMapping, id: string): void;
  /** Changes a row of the ERP only where it differs. What the ERP's own rules forbid is refused, visibly. */
  putOwned(target: DownMapping, record: DownRecord): void;
  findRecord(collection: string, id: string): DownRecord | undefined;
}

export function createTableWriter(database: Database, ledger: Ledger, now: () => Date): TableWriter {
  const statements = new Map<string, ReturnType<Database['prepare']>>();
  const run = (text: string, params: Value[]): number => {
    let statement = statements.get(text);
    if (!statement) statements.set(text, (statement = database.prepare(text)));
    return statement.run(...params).changes;
  };
  return {
    putReplica(target, record) {
      const columns = Object.keys(target.columns).map(quoteName);
      const marks = columns.map(() => '?');
      run(
        `INSERT OR REPLACE INTO ${quoteName(replicaTable(target.table))} (record_id, ${columns.join(', ')})
         VALUES (?, ${marks.join(', ')})`,
        [record.id, ...Object.values(valuesOf(target, record))],
      );
    },
    removeReplica(target, id) {
      run(`DELETE FROM ${quoteName(replicaTable(target.table))} WHERE record_id = ?`, [id]);
    },
    putOwned(target, record) {
      try {
        writeOwned(run, target, valuesOf(target, record));
      } catch (error) {
        // Full, locked, broken: the frame as a whole comes again. Anything else is about this row alone.
        if (sqliteFaultOf(error) !== 'other') throw error;
        const detail = error instanceof Error ? error.message : String(error);
        const refusal = {
          act: `down ${target.table}`,
          key: record.id,
          reason: 'refused_here',
          rows: 1,
          detail,
        };
        ledger.refuse(refusal, now().toISOString());
      }
    },
    findRecord(collection, id) {
      const select =
        'SELECT partition, data, record_version AS v FROM sluice_records WHERE collection = ? AND id = ?';
      const row = database.prepare(select).get(collection, id) as
        { partition: string; data: string; v: number } | undefined;
      if (!row) return undefined;
      const data = JSON.parse(row.data) as RecordData;
      return { collection, id, partition: row.partition, data, recordVersion: row.v };
    },
  };
}

function writeOwned(
  run: (text: string, params: Value[]) => number,
  target: DownMapping,
  values: Record<string, Value>,
): void {
  const table = quoteName(target.table);
  const key = target.key ?? [];
  // A field that the record does not have leaves its column alone.
  const others = Object.keys(values).filter((name) => !key.includes(name) && values[name] !== null);
  const where = key.map((name) => `${quoteName(name)} IS ?`).join(' AND ');
  const keyValues = key.map((name) => values[name] ?? null);
  const otherValues = others.map((name) => values[name] ?? null);
  if (keyValues.some((value) => value === null)) return;
  if (others.length > 0) {
    const set = others.map((name) => `${quoteName(name)} = ?`).join(', ');
    const differs = others.map((name) => `${quoteName(name)} IS NOT ?`).join(' OR ');
    const update = `UPDATE ${table} SET ${set} WHERE ${where} AND (${differs})`;
    if (run(update, [...otherValues, ...keyValues, ...otherValues]) > 0) return;
  }
  if (!target.insert) return;
  const names = [...key, ...others];
  const insert = `INSERT INTO ${table} (${names.map(quoteName).join(', ')}) SELECT ${names.map(() => '?').join(', ')}
    WHERE NOT EXISTS (SELECT 1 FROM ${table} WHERE ${where})`;
  run(insert, [...keyValues, ...otherValues, ...keyValues]);
}

function valuesOf({ columns }: DownMapping, record: DownRecord): Record<string, Value> {
  const values = Object.entries(columns).map(([column, source]): [string, Value] => {
    const { field } = source;
    if (field === '$partition') return [column, record.partition];
    if (field === '$id') return [column, record.id];
    return [column, toLocal(Object.hasOwn(record.data, field) ? record.data[field] : null, source)];
  });
  return Object.fromEntries(values);
}
