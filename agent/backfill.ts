import type { Database } from '../sdk/file-store.ts';
import type { ActRows } from './act-rows.ts';
import { createActRows } from './act-rows.ts';
import { finishOlder, olderRowsOf } from './claim.ts';
import type { CapturedRow, Ledger } from './ledger.ts';
import type { Row, Value } from './literal.ts';
import { listNames, quoteName } from './literal.ts';
import type { ActMapping, Mapping, MovementsMapping, RecordMapping } from './mapping.ts';
import { noteNames } from './names.ts';
import { keyOf } from './units.ts';

/** Queues what was in the database before the agent, a few acts at a time: its place is saved with what it queued. */

export interface BackfillState {
  /** Index of the step: acts, then records, then movements without a head. */
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
  /** Movements without a head are left, and nobody knows yet what is to happen to them (docs/adr/0012). */
  isWaiting(): boolean;
  /** Nothing but such movements is left, and they are held until somebody decides. */
  isHeld(): boolean;
  /** An act, or a movement without a head, as it is in the database now; empty: it is not there any more. */
  readAct(act: ActMapping, key: string, loose: boolean): CapturedRow[];
}

interface Step {
  name: string;
  table: string;
  key: readonly string[];
  /** Further condition. */
  where: string;
  act?: ActMapping;
  /** Movements without a head: nothing but their batchId says that they were sent. */
  loose?: ActMapping;
  isDone(row: Row, keyText: string): boolean;
}

export function createBackfill(database: Database, mapping: Mapping, ledger: Ledger): Backfill {
  const rows = createActRows(database, mapping, ledger);
  const steps = stepsOf(mapping, ledger);
  const takeStep = (step: Step, state: BackfillState, limit: number): CapturedRow[] => {
    const found = readStep(rows, step, { after: state.after, limit });
    const fresh = found.filter((row) => !step.isDone(row, keyOf(step.key, row)));
    const older = step.loose ? olderRowsOf(ledger) : 'send';
    blocked = fresh.length > 0 && (older === 'held' || older === 'wait');
    if (blocked) return [];
    const last = found.at(-1);
    state.after = last ? step.key.map((name) => last[name] ?? null) : null;
    state.done += found.length;
    if (found.length < limit) Object.assign(state, { step: state.step + 1, after: null });
    if (step.loose && older === 'adopt') {
      for (const row of fresh) ledger.see(step.loose.name, `${step.table} ${keyOf(step.key, row)}`);
      return [];
    }
    const children = step.act ? rows.childrenOf(step.act, fresh) : [];
    return [...fresh.map((row) => rows.capture(step.table, row)), ...children];
  };
  const state = (): BackfillState | undefined => {
    const text = ledger.findMeta('backfill');
    return text === undefined || text === 'done' ? undefined : (JSON.parse(text) as BackfillState);
  };
  let blocked = false;
  let looseLeft: boolean | undefined;
  const isLooseLeft = (): boolean => {
    if (state() === undefined) return false;
    return (looseLeft ??= steps.some((step) => step.loose && isAny(database, step)));
  };
  const finish = (): void => {
    ledger.setMeta('backfill', 'done');
    finishOlder(ledger);
  };
  return {
    state,
    isWaiting: () => olderRowsOf(ledger) === 'wait' && isLooseLeft(),
    isHeld: () => blocked && state() !== undefined && olderRowsOf(ledger) === 'held',
    readAct: (act, key, loose) => rows.readAct(act, key, loose),
    restart() {
      const total = steps.reduce((sum, step) => sum + countOf(database, step), 0);
      const first: BackfillState = { step: 0, after: null, done: 0, total };
      ledger.setMeta('backfill', JSON.stringify(first));
      noteNames(ledger, mapping);
      looseLeft = undefined;
    },
    next(limit) {
      const at = state();
      const step = at && steps[at.step];
      const taken = step ? takeStep(step, at, limit) : [];
      if (at && at.step >= steps.length) finish();
      else if (at) ledger.setMeta('backfill', JSON.stringify(at));
      return taken;
    },
  };
}

/** The next rows of a step, in the order of their keys. */
function readStep(
  rows: ActRows,
  { table, key, where }: Step,
  { after, limit }: { after: Value[] | null; limit: number },
): Row[] {
  const beyond = after === null ? '' : `AND (${listNames(key)}) > (${key.map(() => '?').join(', ')})`;
  return rows.read(table, `WHERE ${where} ${beyond} ORDER BY ${listNames(key)} LIMIT ${limit}`, after ?? []);
}

/**
 * Acts in the order of their keys, each with its movements in one batch, as when they were captured. What came in without
 * a head follows: until then others see less stock here than there is rather than more, and promise nothing that is sold.
 */
function stepsOf({ acts, records }: Mapping, ledger: Ledger): Step[] {
  return [
    ...acts.map((act) => headStep(act, ledger)),
    ...records.map((record) => recordStep(record, ledger)),
    ...acts.flatMap((act) => act.movements.map((movements) => looseStep(act, movements, ledger))),
  ];
}

function headStep(act: ActMapping, ledger: Ledger): Step {
  const { name, table, key } = act;
  return { name, table, key, where: 'true', act, isDone: (_, text) => ledger.isSeen(name, text) };
}

function looseStep(act: ActMapping, { table, key, parent }: MovementsMapping, ledger: Ledger): Step {
  const where = `(${parent.map((name) => `${quoteName(name)} IS NULL`).join(' OR ')})`;
  return {
    name: table,
    table,
    key,
    where,
    loose: act,
    isDone: (_, text) => ledger.isSeen(act.name, `${table} ${text}`),
  };
}

function recordStep({ name, table, key }: RecordMapping, ledger: Ledger): Step {
  return { name, table, key, where: 'true', isDone: (_, text) => ledger.isSeen(name, text) };
}

function countOf(database: Database, { table, where }: Step): number {
  const select = `SELECT count(*) AS n FROM ${quoteName(table)} WHERE ${where}`;
  return (database.prepare(select).get() as { n: number }).n;
}

function isAny(database: Database, { table, where }: Step): boolean {
  return database.prepare(`SELECT 1 FROM ${quoteName(table)} WHERE ${where} LIMIT 1`).get() !== undefined;
}
