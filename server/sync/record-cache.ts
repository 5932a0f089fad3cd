import type { ChangeRow } from './rows.ts';
import { keyOf, pendingPlace } from './working-set.ts';
import type { WorkingRecord } from './working-set.ts';

/** What one tenant's writer remembers of records at the most, in characters of their JSON. */
const MOST = 16 * 1024 * 1024;
/** What an entry costs besides its JSON. */
const OVERHEAD = 300;

/**
 * Records as this node last wrote them. Only a guess: another node may have changed them since, and the write holds each
 * against the truth (docs/adr/0010). It spares a busy branch's stock a read before every sale.
 *
 * Two generations, of which the older is dropped whole: forgetting costs nothing a record.
 */
export class RecordCache {
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  /** Of the younger generation: what an overwritten or deleted record took is given back. */
  #size = 0;

  find(key: string): WorkingRecord | undefined {
    return (this.#young.get(key) ?? this.#old.get(key))?.record;
  }

  /** Takes what a committed group made of its records; `base` is the tenant's position before it. */
  take(rows: readonly ChangeRow[], base: number): void {
    for (const { change, fate, json } of rows) {
      const key = keyOf(change);
      if (fate === 'put' && change.after) {
        const size = (json?.length ?? 0) + OVERHEAD;
        this.#size += size - (this.#young.get(key)?.size ?? 0);
        this.#young.set(key, { record: allotted(change.after, base), size });
      } else if (fate === 'gone') this.#drop(key);
    }
    if (this.#size <= MOST / 2) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#size = 0;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#size = 0;
  }

  #drop(key: string): void {
    this.#size -= this.#young.get(key)?.size ?? 0;
    this.#young.delete(key);
    this.#old.delete(key);
  }
}

interface Entry {
  record: WorkingRecord;
  size: number;
}

/** The record with the versions that the clock has given for the pending ones. */
function allotted(record: WorkingRecord, base: number): WorkingRecord {
  const allot = (version: number): number => {
    const place = pendingPlace(version);
    return place === null ? version : base + place;
  };
  const fieldVersions: Record<string, number> = {};
  for (const field of Object.keys(record.fieldVersions))
    fieldVersions[field] = allot(record.fieldVersions[field] ?? 0);
  const { partition, data, size } = record;
  return {
    partition,
    data,
    size,
    version: allot(record.version),
    baseVersion: allot(record.baseVersion),
    fieldVersions,
  };
}
