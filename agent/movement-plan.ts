import { addNumbers } from '../protocol/decimal.ts';
import type { Mutation, RecordData } from '../protocol/sync.ts';
import { toFields, toId, toNumber, toWire } from './convert.ts';
import type { CapturedRow } from './ledger.ts';
import type { Row } from './literal.ts';
import type { MovementsMapping } from './mapping.ts';
import type { Knowledge, Planner } from './plan.ts';

/** Movements of an act: what is added to the records they name, and the records that must be there for that. */

/** One increment per record, of the sum of its movements; a movement changed or deleted counts by its difference. */
export function movementMutations(
  planner: Planner,
  mapping: MovementsMapping,
  rows: readonly CapturedRow[],
): Mutation[] {
  const { partition } = planner.knowledge;
  const sums = new Map<string, Record<string, number>>();
  const add = (row: Row | undefined, sign: 1 | -1): void => {
    if (!row) return;
    const id = toId(mapping.id, partition, row);
    const sum = sums.get(id) ?? {};
    sums.set(id, sum);
    for (const [field, spec] of Object.entries(mapping.increment)) {
      const value = toNumber(toWire(row[spec.column] ?? null, spec), spec.column);
      sum[field] = addNumbers(sum[field] ?? 0, sign * value);
    }
    ensureRecord(planner, mapping, { id, row });
  };
  for (const row of rows) {
    if (row.table !== mapping.table) continue;
    add(row.old, -1);
    add(row.new, 1);
  }
  return [...sums].flatMap(([id, sum]): Mutation[] => {
    const increment = Object.fromEntries(Object.entries(sum).filter(([, value]) => value !== 0));
    if (Object.keys(increment).length === 0) return [];
    return [{ collection: mapping.collection, id, op: 'patch', partition, increment }];
  });
}

/** A record that is not known at the centre is created first, in a batch of its own: it may be there all the same. */
function ensureRecord(
  planner: Planner,
  mapping: MovementsMapping,
  { id, row }: { id: string; row: Row },
): void {
  const { knowledge, plan, created } = planner;
  const { collection } = mapping;
  if (knowledge.isKnown(collection, id)) return;
  const data = creationOf(knowledge, mapping, row);
  plan.creates.push({ collection, id, op: 'put', partition: knowledge.partition, data });
  created.set(`${collection}\n${id}`, data);
  knowledge.remember(collection, id);
}

/** What the record of a movement begins with. */
export function creationOf(
  knowledge: Pick<Knowledge, 'lookup'>,
  { create }: MovementsMapping,
  row: Row,
): RecordData {
  const looked = lookUp(knowledge, create.lookup, row);
  return { ...create.constants, ...toFields(create.fields, row), ...looked };
}

function lookUp(
  knowledge: Pick<Knowledge, 'lookup'>,
  lookup: MovementsMapping['create']['lookup'],
  row: Row,
): RecordData {
  if (!lookup) return {};
  const on = Object.fromEntries(
    Object.entries(lookup.on).map(([theirs, ours]) => [theirs, row[ours] ?? null]),
  );
  const columns = Object.values(lookup.fields).map((spec) => spec.column);
  const found = knowledge.lookup(lookup.table, on, columns);
  return found ? toFields(lookup.fields, found) : {};
}
