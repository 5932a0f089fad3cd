import { addNumbers } from '../../protocol/decimal.ts';
import type { Mutation, MutationResult } from '../../protocol/sync.ts';
import type { QueuedBatch, Settlement } from '../../sdk/store.ts';

/** The centre as far as books are concerned: batches are atomic unless they say otherwise, and count once by their batchId. */
export class SimulatedCentre {
  readonly records = new Map<string, Record<string, unknown>>();
  readonly #verdicts = new Map<string, Settlement>();
  #version = 0;

  push({ batchId, mutations, atomic }: QueuedBatch): Settlement {
    const known = this.#verdicts.get(batchId);
    if (known) return known;
    const faults = mutations.map((one) => this.#faultOf(one));
    const isAll = atomic !== false && faults.some((fault) => fault !== undefined);
    const results = mutations.map((one, at): MutationResult => {
      const code = faults[at] ?? (isAll ? 'batch_refused' : undefined);
      if (code === undefined) this.#apply(one);
      return { status: code === undefined ? 'applied' : 'rejected', ...(code === undefined ? {} : { code }) };
    });
    const outcome = results.some(({ status }) => status === 'rejected') ? 'rejected' : 'applied';
    this.#version += 1;
    const settlement: Settlement = {
      batchId,
      outcome,
      verdict: { ok: true, seq: 1, version: this.#version, results },
    };
    this.#verdicts.set(batchId, settlement);
    return settlement;
  }

  #faultOf({ op, collection, id, data }: Mutation): string | undefined {
    const isThere = this.records.has(`${collection}/${id}`);
    if (op !== 'put') return isThere ? undefined : 'not_found';
    if (isThere) return 'stale_version';
    return data?.['total'] === 'wrong' ? 'schema_violation' : undefined;
  }

  #apply({ op, collection, id, data, set, increment = {} }: Mutation): void {
    const name = `${collection}/${id}`;
    const record = op === 'put' ? { ...data } : { ...this.records.get(name), ...set };
    for (const [field, by] of Object.entries(increment))
      record[field] = addNumbers((record[field] as number | undefined) ?? 0, by);
    this.records.set(name, record);
  }
}
