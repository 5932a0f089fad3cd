import type { Mutation, RecordData } from '../protocol/sync.ts';
import { batchIdOf } from './batch-id.ts';
import { recordIdOf } from './business-key.ts';
import type { CapturedRow, LocalRefusal, OpenAct } from './ledger.ts';
import type { Row } from './literal.ts';
import type { ActMapping } from './mapping.ts';
import type { Unit } from './units.ts';
import type { RecordName } from './unsettled.ts';

/** What planning needs to know, what comes of it, and what its parts share. */

export interface Knowledge {
  partition: string;
  /** Rows from before the agent are still being queued: what belongs to them comes with them. */
  backfilling: boolean;
  /** The centre is taken to have the movements without a head that are still to be gone through. */
  adopting: boolean;
  isKnown(collection: string, id: string): boolean;
  findData(collection: string, id: string): RecordData | undefined;
  remember(collection: string, id: string): void;
  isSeen(act: string, key: string): boolean;
  see(act: string, key: string): void;
  unsee(act: string, key: string): void;
  findOpenAct(act: string, key: string): OpenAct | undefined;
  /** Fields that were refused with their values and wait in the inbox; undefined: nothing of the record does. */
  refusedFields(record: RecordName): readonly string[] | undefined;
  /** Its rows as they are now; without its head the children that still name it. */
  readAct(act: ActMapping, key: string, loose: boolean): CapturedRow[];
  lookup(table: string, on: Row, columns: readonly string[]): Row | undefined;
}

export interface PlannedBatch {
  batchId: string;
  mutations: Mutation[];
  /** For the inbox, should it not be taken. */
  act: string;
  key: string;
  rows: number;
  /** The whole of an act: until it is accepted, a correction is sent as the whole act anew. */
  open?: OpenKey;
}

/** By what an act is known here, and whether it is from before the agent. */
export type OpenKey = Pick<OpenAct, 'act' | 'key' | 'older'>;

export interface Plan {
  /** Records that must be there before anything is added to them. */
  creates: Mutation[];
  batches: PlannedBatch[];
  refusals: (LocalRefusal & { open?: OpenKey })[];
  /** Refused acts that are built anew, or gone: their old entries are settled. */
  anew: { act: string; key: string; entry: string; as: string | undefined }[];
  /** Records that were refused and are planned as they are now: their old entries are settled. */
  settled: { record: RecordName; as?: string }[];
}

export interface Planner {
  plan: Plan;
  knowledge: Knowledge;
  /** Records created in this very plan, with their data. */
  created: Map<string, RecordData>;
  /** The act at hand, when the whole of it is being built. */
  whole: OpenKey | undefined;
}

export function openOf({ whole }: Planner): { open?: OpenKey } {
  return whole ? { open: whole } : {};
}

export function batchOf(
  knowledge: Knowledge,
  unit: Unit,
  { mutations, rows, name }: { mutations: Mutation[]; rows: readonly CapturedRow[]; name: string },
): PlannedBatch {
  const batchId = batchIdOf(`${name} ${unit.kind} ${unit.mapping.name}`);
  const act = unit.mapping.name;
  return { batchId, mutations, act, key: recordIdOf(knowledge, unit), rows: rows.length };
}

export function refusalOf(
  knowledge: Knowledge,
  unit: Unit,
  why: Pick<LocalRefusal, 'reason' | 'detail'>,
): LocalRefusal {
  const rows = unit.kind === 'act' ? unit.rows.length : 1;
  return { act: unit.mapping.name, key: recordIdOf(knowledge, unit), rows, ...why };
}
