import { createHash } from 'node:crypto';
import type { Database } from '../sdk/file-store.ts';
import type { CapturedRow, Ledger } from './ledger.ts';
import type { Row, Value } from './literal.ts';
import { listNames, literalsOf, parseRow, quoteName } from './literal.ts';
import type { ActMapping, Mapping, SourceTable } from './mapping.ts';
import { sourcesOf } from './mapping.ts';
import { keyOf } from './units.ts';

/** Reads rows of the ERP as they are now, in the form of captured ones. */
export interface ActRows {
  read(table: string, from: string, params: readonly Value[]): Row[];
  capture(table: string, row: Row): CapturedRow;
  childrenOf(act: ActMapping, heads: readonly Row[]): CapturedRow[];
  /** An act, or a movement without a head; empty: it is not there any more. */
  readAct(act: ActMapping, key: string, loose: boolean): CapturedRow[];
}

export function createActRows(
  database: Database,
  mapping: Mapping,
  ledger: Pick<Ledger, 'findMeta'>,
): ActRows {
  const sources = new Map(sourcesOf(mapping).map((source) => [source.table, source]));
  const requireSource = (table: string): SourceTable => {
    const source = sources.get(table);
    if (!source) throw new TypeError(`the table ${table} is not mapped`);
    return source;
  };
  const read: ActRows['read'] = (table, from, params) => {
    const { columns } = requireSource(table);
    const select = `SELECT ${literalsOf('NEW', columns)} AS row FROM ${quoteName(table)} AS NEW ${from}`;
    const found = database.prepare(select).all(...params) as { row: string }[];
    return found.map(({ row }) => parseRow(columns, row));
  };
  // The same in every installation of this branch: what an earlier one has sent is known by its batchId.
  const capture: ActRows['capture'] = (table, row) => {
    const name = `${ledger.findMeta('partition') ?? ''} ${table} ${keyOf(requireSource(table).key, row)}`;
    const token = createHash('sha256').update(name).digest('hex').slice(0, 32);
    return { n: 0, token, table, op: 'I', old: undefined, new: row };
  };
  const childrenOf: ActRows['childrenOf'] = (act, heads) =>
    [...act.lines, ...act.movements].flatMap(({ table, parent, key }) => {
      if (heads.length === 0) return [];
      const one = `(${act.key.map(() => '?').join(', ')})`;
      const from = `WHERE (${listNames(parent)}) IN (VALUES ${heads.map(() => one).join(', ')}) ORDER BY ${listNames(key)}`;
      const keys = heads.flatMap((head) => act.key.map((name) => head[name] ?? null));
      return read(table, from, keys).map((row) => capture(table, row));
    });
  return {
    read,
    capture,
    childrenOf,
    readAct(act, text, loose) {
      const found = loose ? act.movements.find(({ table }) => text.startsWith(`${table} `)) : act;
      if (!found) return [];
      const { table, key } = found;
      const values = JSON.parse(loose ? text.slice(table.length + 1) : text) as Value[];
      const where = `WHERE (${listNames(key)}) IS (${key.map(() => '?').join(', ')})`;
      const heads = read(table, where, values);
      return [...heads.map((row) => capture(table, row)), ...(loose ? [] : childrenOf(act, heads))];
    },
  };
}
