import { createHash } from 'node:crypto';
import type { Database } from '../sdk/file-store.ts';
import type { CapturedRow, Ledger } from './ledger.ts';
import type { Row, Value } from './literal.ts';
import { literalsOf, parseRow, quoteName } from './literal.ts';
import type { ActMapping, Mapping, MovementsMapping, RecordMapping, SourceTable } from './mapping.ts';
import { sourcesOf } from './mapping.ts';
import { keyOf } from './units.ts';

/** Queues what was in the database before the agent, a few acts at a time: its place is saved with what it queued. */

export interface BackfillState {
  /** Index of the step: acts, then movements without a head, then records. */
  step: number;
  /** Key of the last row taken in this step. */
  after: Value[] | null;
  /** Rows taken so far: heads, loose movements, records. */
  done: number;
  total: number;
}

export interface Backfill {
  /** Undefined: finished, or never asked for. */
  state(): BackfillState | undefined;
  /** From the beginning: rows seen before are passed over. */
  restart(): void;
  /** The next rows, as if they had just been captured. Run inside the transaction that queues them. */
  next(limit: number): CapturedRow[];
}

interface Step {
  name: string;
  table: string;
  key: readonly string[];
  /** Further condition. */
  where: string;
  act?: ActMapping;
  isDone(row: Row, keyText: string): boolean;
}

export function createBackfill(database: Database, mapping: Mapping, ledger: Ledger): Backfill {
  const sources = new Map(sourcesOf(mapping).map((source) => [source.table, source]));
  const installId = ledger.findMeta('installId') ?? '';
  const steps = stepsOf(mapping, ledger);
  const read = (from: string, source: SourceTable, params: Value[]): Row[] => {
    const select = `SELECT ${literalsOf('NEW', source.columns)} AS row FROM ${quoteName(source.table)} AS NEW ${from}`;
    const rows = database.prepare(select).all(...params) as { row: string }[];
    return rows.map(({ row }) => parseRow(source.columns, row));
  };
  const capture = (source: SourceTable, row: Row): CapturedRow => {
    const name = `${installId} ${source.table} ${keyOf(source.key, row)}`;
    const token = createHash('sha256').update(name).digest('hex').slice(0, 32);
    return { n: 0, token, table: source.table, op: 'I', old: undefined, new: row };
  };
  const childrenOf = (act: ActMapping, heads: readonly Row[]): CapturedRow[] =>
    [...act.lines, ...act.movements].flatMap((child) => {
      const source = sources.get(child.table);
      if (!source || heads.length === 0) return [];
      const one = `(${act.key.map(() => '?').join(', ')})`;
      const from = `WHERE (${list(child.parent)}) IN (VALUES ${heads.map(() => one).join(', ')}) ORDER BY ${list(child.key)}`;
      const keys = heads.flatMap((head) => act.key.map((name) => head[name] ?? null));
      return read(from, source, keys).map((row) => capture(source, row));
    });
  const takeStep = (step: Step, state: BackfillState, limit: number): CapturedRow[] => {
    const source = sources.get(step.table);
    if (!source) return [];
    const marks = step.key.map(() => '?').join(', ');
    const beyond = state.after === null ? '' : `AND (${list(step.key)}) > (${marks})`;
    const from = `WHERE ${step.where} ${beyond} ORDER BY ${list(step.key)} LIMIT ${limit}`;
    const rows = read(from, source, state.after ?? []);
    const last = rows.at(-1);
    state.after = last ? step.key.map((name) => last[name] ?? null) : null;
    state.done += rows.length;
    if (rows.length < limit) Object.assign(state, { step: state.step + 1, after: null });
    const fresh = rows.filter((row) => !step.isDone(row, keyOf(step.key, row)));
    return [...fresh.map((row) => capture(source, row)), ...(step.act ? childrenOf(step.act, fresh) : [])];
  };
  const state = (): BackfillState | undefined => {
    const text = ledger.findMeta('backfill');
    return text === undefined || text === 'done' ? undefined : (JSON.parse(text) as BackfillState);
  };
  return {
    state,
    restart() {
      const total = steps.reduce((sum, step) => sum + countOf(database, step), 0);
      const first: BackfillState = { step: 0, after: null, done: 0, total };
      ledger.setMeta('backfill', JSON.stringify(first));
    },
    next(limit) {
      const at = state();
      const step = at && steps[at.step];
      const rows = step ? takeStep(step, at, limit) : [];
      if (at) ledger.setMeta('backfill', at.step >= steps.length ? 'done' : JSON.stringify(at));
      return rows;
    },
  };
}

function stepsOf({ acts, records }: Mapping, ledger: Ledger): Step[] {
  return [
    ...acts.map((act) => headStep(act, ledger)),
    ...acts.flatMap((act) => act.movements.map((movements) => looseStep(act, movements, ledger))),
    ...records.map((record) => recordStep(record, ledger)),
  ];
}

function headStep(act: ActMapping, ledger: Ledger): Step {
  const { name, table, key } = act;
  return { name, table, key, where: 'true', act, isDone: (_, text) => ledger.isSeen(name, text) };
}

function looseStep(act: ActMapping, { table, key, parent }: MovementsMapping, ledger: Ledger): Step {
  const where = `(${parent.map((name) => `${quoteName(name)} IS NULL`).join(' OR ')})`;
  return { name: table, table, key, where, isDone: (_, text) => ledger.isSeen(act.name, `${table} ${text}`) };
}

function recordStep({ name, table, key }: RecordMapping, ledger: Ledger): Step {
  return { name, table, key, where: 'true', isDone: (_, text) => ledger.isSeen(name, text) };
}

function countOf(database: Database, { table, where }: Step): number {
  const select = `SELECT count(*) AS n FROM ${quoteName(table)} WHERE ${where}`;
  return (database.prepare(select).get() as { n: number }).n;
}

function list(columns: readonly string[]): string {
  return columns.map(quoteName).join(', ');
}
