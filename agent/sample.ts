import { Ajv2020 } from 'ajv/dist/2020.js';
import { COLLECTIONS } from '../protocol/collections.ts';
import type { InputFault } from '../protocol/errors.ts';
import { toInputFault } from '../protocol/schema-fault.ts';
import type { Mutation, RecordData } from '../protocol/sync.ts';
import type { Database } from '../sdk/file-store.ts';
import type { ActRows } from './act-rows.ts';
import { createActRows } from './act-rows.ts';
import { createLedger } from './ledger.ts';
import type { CapturedRow } from './ledger.ts';
import type { Row } from './literal.ts';
import { quoteName } from './literal.ts';
import type { ActMapping, Mapping, RecordMapping } from './mapping.ts';
import type { Knowledge } from './plan.ts';
import { planUnits } from './planner.ts';
import { groupUnits, keyOf } from './units.ts';

/** Rows of the ERP as they would be sent, held against the schemas of the centre: what would be refused is told before. */

/** Of each table: so many rows from the beginning and from the end of its key. */
const ROWS = 500;
const HEADS_AT_ONCE = 100;
const MOST_SHOWN = 40;

interface Finding {
  text: string;
  rows: number;
  /** The first one found. */
  example: string;
}

/** One sentence for each kind of fault. Reads only; the mapping must fit the database. */
export function findRowFaults(database: Database, mapping: Mapping, partition: string): string[] {
  const rows = createActRows(database, mapping, { findMeta: () => undefined });
  const ledger = createLedger(database);
  const lookup: Knowledge['lookup'] = (...given) => ledger.lookup(...given);
  const faultsOf = createRecordCheck();
  return [...mapping.acts, ...mapping.records].flatMap((one) => {
    const only = isAct(one)
      ? { ...mapping, acts: [one], records: [] }
      : { ...mapping, acts: [], records: [one] };
    const findings = new Map<string, Finding>();
    const heads = sampleOf(rows, one);
    for (const captured of isAct(one) ? withChildren(rows, one, heads) : [capture(rows, one, heads)])
      for (const [text, example] of judge(only, captured, { partition, lookup, faultsOf }))
        count(findings, text, example);
    return [...findings.values()].map(
      ({ text, rows: n, example }) =>
        `${one.name}: ${text} (${n} of the ${heads.length} rows looked at, ${example})`,
    );
  });
}

function isAct(one: ActMapping | RecordMapping): one is ActMapping {
  return 'movements' in one;
}

function sampleOf(rows: ActRows, { table, key }: ActMapping | RecordMapping): Row[] {
  const by = (direction: string): string => key.map((name) => `${quoteName(name)} ${direction}`).join(', ');
  const found = ['ASC', 'DESC'].flatMap((direction) =>
    rows.read(table, `ORDER BY ${by(direction)} LIMIT ${ROWS}`, []),
  );
  return [...new Map(found.map((row) => [keyOf(key, row), row])).values()];
}

function capture(rows: ActRows, { table }: ActMapping | RecordMapping, found: readonly Row[]): CapturedRow[] {
  return found.map((row) => rows.capture(table, row));
}

function* withChildren(rows: ActRows, act: ActMapping, heads: readonly Row[]): Generator<CapturedRow[]> {
  for (let at = 0; at < heads.length; at += HEADS_AT_ONCE) {
    const some = heads.slice(at, at + HEADS_AT_ONCE);
    yield [...capture(rows, act, some), ...rows.childrenOf(act, some)];
  }
}

type FaultsOf = (mutation: Mutation) => InputFault[];

/** What would be refused, each with the first value or record that shows it. */
function* judge(
  mapping: Mapping,
  rows: readonly CapturedRow[],
  { partition, lookup, faultsOf }: Pick<Knowledge, 'partition' | 'lookup'> & { faultsOf: FaultsOf },
): Generator<[text: string, example: string]> {
  const plan = planUnits(groupUnits(mapping, rows), { ...NEW_TO_ALL, partition, lookup });
  for (const { key, detail } of plan.refusals) yield [detail, `first ${key}`];
  for (const mutation of [...plan.creates, ...plan.batches.flatMap(({ mutations }) => mutations)]) {
    for (const { path, message } of faultsOf(mutation)) {
      const value = valueAt(mutation.data ?? {}, path);
      const shown = value === undefined ? '' : `${JSON.stringify(value).slice(0, MOST_SHOWN)} in `;
      yield [`${path.replaceAll(/\.\d+/g, '')} ${message}`, `first ${shown}${mutation.id}`];
    }
  }
}

/** As if nothing had been sent yet: every row becomes a whole record. */
const NEW_TO_ALL: Omit<Knowledge, 'partition' | 'lookup'> = {
  backfilling: false,
  adopting: false,
  isKnown: () => false,
  findData: () => undefined,
  remember: () => undefined,
  isSeen: () => false,
  see: () => undefined,
  unsee: () => undefined,
  findOpenAct: () => undefined,
  refusedFields: () => undefined,
  readAct: () => [],
};

/** Says what the centre would say of a put. */
function createRecordCheck(): FaultsOf {
  const ajv = new Ajv2020({ strict: false, allErrors: true, verbose: true });
  const checks = new Map(COLLECTIONS.map(({ name, schema }) => [name, ajv.compile(schema)]));
  return ({ op, collection, data }) => {
    if (op !== 'put') return [];
    const check = checks.get(collection);
    if (!check) return [{ path: 'collection', message: `must be one of ${[...checks.keys()].join(', ')}` }];
    return check(data) ? [] : (check.errors ?? []).map(toInputFault);
  };
}

function valueAt(data: RecordData, path: string): unknown {
  let value: unknown = data;
  for (const name of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[name];
  return value;
}

function count(findings: Map<string, Finding>, text: string, example: string): void {
  const known = findings.get(text);
  if (known) known.rows += 1;
  else findings.set(text, { text, rows: 1, example });
}
