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
  /** An act, or a movement without a head, if it is there; without its head the children that name it. */
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
  /** A key as text has a blob's bytes in hex. */
  const readKey = (table: string, key: readonly string[], values: readonly Value[]): Row[] => {
    const where = `WHERE (${listNames(key)}) IS (${key.map(() => '?').join(', ')})`;
    const found = read(table, where, values);
    return found.length > 0 ? found : read(table, where, values.map(asBlob));
  };
  const readLoose = (act: ActMapping, text: string, values: readonly Value[]): CapturedRow[] => {
    const found = act.movements.find(({ table }) => text.startsWith(`${table} `));
    if (!found) return [];
    const { table, key, parent } = found;
    // It may be there, and have a head by now.
    const loose = readKey(table, key, values).filter((row) =>
      parent.some((name) => (row[name] ?? null) === null),
    );
    return loose.map((row) => capture(table, row));
  };
  return {
    read,
    capture,
    childrenOf,
    readAct(act, text, loose) {
      const values = JSON.parse(loose ? text.slice(text.indexOf(' ') + 1) : text) as Value[];
      if (loose) return readLoose(act, text, values);
      const { table, key } = act;
      const heads = readKey(table, key, values);
      const named = heads[0] ?? Object.fromEntries(key.map((name, at) => [name, values[at] ?? null]));
      return [...heads.map((row) => capture(table, row)), ...childrenOf(act, [named])];
    },
  };
}

function asBlob(value: Value): Value {
  return typeof value === 'string' && /^(?:[\da-f]{2})+$/.test(value)
    ? Uint8Array.from(Buffer.from(value, 'hex'))
    : value;
}
