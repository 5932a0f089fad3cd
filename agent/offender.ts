import type { PushVerdict } from '../protocol/sync.ts';
import type { QueuedBatch } from '../sdk/store.ts';

export interface Offender {
  collection: string | undefined;
  id: string | undefined;
  code?: string;
}

/** The record for which a batch was refused: of an atomic one the others are only `batch_refused`. */
export function offenderOf(
  { mutations }: Pick<QueuedBatch, 'mutations'>,
  verdict: Pick<PushVerdict, 'results'> | undefined,
): Offender {
  const results = verdict?.results ?? [];
  const at = results.findIndex(({ code }) => code !== undefined && code !== 'batch_refused');
  const { collection, id } = mutations[Math.max(0, at)] ?? {};
  const code = results[at]?.code;
  return { collection, id, ...(code === undefined ? {} : { code }) };
}
