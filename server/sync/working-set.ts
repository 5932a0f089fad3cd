import type { RecordData } from '../../protocol/sync.ts';

/**
 * Versions at and above this one stand for versions of the group being decided, which the clock has not allotted yet:
 * PENDING + 1 for the group's first committed batch. They are higher than any version a client can know.
 */
export const PENDING = 2 ** 52;

/** The place in the group of a pending version: 1, 2, 3…; null for an allotted one. */
export function pendingPlace(version: number): number | null {
  return version >= PENDING ? version - PENDING : null;
}

/** A record while a group is decided. */
export interface WorkingRecord {
  partition: string;
  version: number;
  baseVersion: number;
  fieldVersions: Record<string, number>;
  data: RecordData;
  /** Bytes of the JSON of `data`; near enough of one that the group did not make. */
  size: number;
  /** JSON text of `data`, made when it was checked. */
  json?: string;
  /** A patch's own copy: patches of the same batch are made in it. */
  copy?: { fields: number };
}

interface Key {
  collection: string;
  id: string;
}

/** What a batch did to one record; several mutations of one record are one change (docs/PROTOCOL.md). */
export interface RecordChange extends Key {
  before: WorkingRecord | null;
  after: WorkingRecord | null;
}

/**
 * The records of a commit group: loaded, then changed batch by batch in memory. A batch sees what earlier
 * ones of its group did; a refused one is rolled back without touching the others.
 */
export class WorkingSet {
  readonly #records = new Map<string, WorkingRecord | null>();
  readonly #numbers: Map<string, number>;
  #batch = new Map<string, RecordChange>();
  #versions = 0;
  #numbersBefore = new Map<string, number>();

  /** `loaded` maps `keyOf` to the stored records; `numbers` maps `collection/partition` to the last number given. */
  constructor(loaded: Iterable<[string, WorkingRecord]>, numbers: Iterable<[string, number]> = []) {
    for (const [key, record] of loaded) this.#records.set(key, record);
    this.#numbers = new Map(numbers);
  }

  /** The version that what the batch in hand changes will have. */
  get pendingVersion(): number {
    return PENDING + this.#versions + 1;
  }

  begin(): void {
    this.#batch = new Map();
    this.#numbersBefore = new Map();
  }

  get(key: Key): WorkingRecord | null {
    return this.#records.get(keyOf(key)) ?? null;
  }

  /** The record as it stood before the batch in hand: what a `baseVersion` in that batch can speak of. */
  before(key: Key): WorkingRecord | null {
    const touched = this.#batch.get(keyOf(key));
    return touched ? touched.before : this.get(key);
  }

  set(key: Key, record: WorkingRecord | null): void {
    const name = keyOf(key);
    const earlier = this.#batch.get(name);
    const before = earlier ? earlier.before : (this.#records.get(name) ?? null);
    this.#batch.set(name, { collection: key.collection, id: key.id, before, after: record });
    this.#records.set(name, record);
  }

  /** The next number of a numbered collection's partition: 1, 2, 3… */
  nextNumber(collection: string, partition: string): number {
    const name = `${collection}/${partition}`;
    const last = this.#numbers.get(name) ?? 0;
    if (!this.#numbersBefore.has(name)) this.#numbersBefore.set(name, last);
    this.#numbers.set(name, last + 1);
    return last + 1;
  }

  rollback(): void {
    for (const [name, change] of this.#batch) this.#records.set(name, change.before);
    for (const [name, number] of this.#numbersBefore) this.#numbers.set(name, number);
    this.begin();
  }

  /**
   * Ends the batch. Returns its changes, in the order of first touch (a record made and deleted again within it is
   * none), and its place among the group's versions; null when it changed nothing.
   */
  accept(): { changes: RecordChange[]; place: number | null } {
    const changes = [...this.#batch.values()].filter(
      (change) => change.before !== null || change.after !== null,
    );
    this.begin();
    if (changes.length === 0) return { changes, place: null };
    this.#versions += 1;
    return { changes, place: this.#versions };
  }

  /** How many versions the group takes. */
  get versions(): number {
    return this.#versions;
  }

  /** The numbers as they stand after the group. */
  numbers(): ReadonlyMap<string, number> {
    return this.#numbers;
  }
}

export function keyOf({ collection, id }: Key): string {
  return `${collection}\u0000${id}`;
}
