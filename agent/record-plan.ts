import type { Mutation, RecordData } from '../protocol/sync.ts';
import { findId, toFields, toId } from './convert.ts';
import type { Row } from './literal.ts';
import type { Plan, Planner } from './plan.ts';
import { batchOf } from './plan.ts';
import type { RecordUnit } from './units.ts';
import { keyOf } from './units.ts';

/** Rows that are records by themselves: a put, a patch of what has changed, a delete. */

export function planRecord(planner: Planner, unit: RecordUnit): void {
  const { mapping, row } = unit;
  const mutation = row.new ? writeOf(planner, unit, row.new) : removalOf(planner, unit);
  if (row.new) planner.knowledge.see(mapping.name, keyOf(mapping.key, row.new));
  const settled = settleBoth(planner, unit);
  if (!mutation) return;
  if (mutation.op === 'put' && mapping.shared) {
    planner.plan.creates.push(mutation);
    return;
  }
  const batch = batchOf(planner.knowledge, unit, { mutations: [mutation], rows: [row], name: row.token });
  for (const one of settled) one.as = batch.batchId;
  const isOlder = mutation.op === 'put' && row.n === 0 && row.new;
  const open = isOlder && { act: mapping.name, key: keyOf(mapping.key, isOlder), older: true };
  planner.plan.batches.push({ ...batch, ...(open ? { open } : {}) });
}

/** What waits in the inbox of a record that is planned anew, under its id and under the one it had. */
function settleBoth(planner: Planner, unit: RecordUnit): Plan['settled'] {
  const { mapping, row } = unit;
  const rows = [row.new, row.old].filter((one) => one !== undefined);
  const ids = new Set(rows.flatMap((one) => findId(mapping.id, planner.knowledge.partition, one) ?? []));
  return [...ids].flatMap((id) => settle(planner, unit, id) ?? []);
}

export function settle(
  { knowledge, plan }: Planner,
  { mapping }: RecordUnit,
  id: string,
): Plan['settled'][number] | undefined {
  const record = { collection: mapping.collection, id, act: mapping.name };
  if (knowledge.refusedFields(record) === undefined) return undefined;
  const settled = { record };
  plan.settled.push(settled);
  return settled;
}

function writeOf(planner: Planner, unit: RecordUnit, after: Row): Mutation | undefined {
  const { knowledge } = planner;
  const { partition } = knowledge;
  const { mapping } = unit;
  const { collection } = mapping;
  const id = toId(mapping.id, partition, after);
  const data = toFields(mapping.fields, after);
  if (!knowledge.isKnown(collection, id)) {
    knowledge.remember(collection, id);
    return { collection, id, op: 'put', partition, data: { ...mapping.constants, ...data } };
  }
  const refused = knowledge.refusedFields({ collection, id, act: mapping.name });
  const before = refused ? knowledge.findData(collection, id) : dataBefore(planner, unit, id);
  // Created by a movement, with the very look-up: what has changed since then has been captured by itself.
  if (!before && !refused && mapping.shared) return undefined;
  const isRefused = (field: string): boolean => refused?.includes(field) === true;
  const set = Object.fromEntries(
    Object.entries(data).filter(([field, value]) => isRefused(field) || before?.[field] !== value),
  );
  const unset = Object.keys(mapping.fields).filter(
    (field) => !(field in data) && (isRefused(field) || before?.[field] !== undefined),
  );
  if (Object.keys(set).length + unset.length === 0) return undefined;
  return { collection, id, op: 'patch', partition, set, ...(unset.length === 0 ? {} : { unset }) };
}

/** What the centre has of a known record, as far as we know. */
function dataBefore(
  { knowledge, created }: Planner,
  { mapping, row }: RecordUnit,
  id: string,
): RecordData | undefined {
  if (row.old) return toFields(mapping.fields, row.old);
  return created.get(`${mapping.collection}\n${id}`) ?? knowledge.findData(mapping.collection, id);
}

function removalOf({ knowledge }: Planner, { mapping, row }: RecordUnit): Mutation | undefined {
  if (mapping.onDelete === 'ignore' || !row.old) return undefined;
  const { collection } = mapping;
  const id = toId(mapping.id, knowledge.partition, row.old);
  return knowledge.isKnown(collection, id)
    ? { collection, id, op: 'delete', partition: knowledge.partition }
    : undefined;
}
