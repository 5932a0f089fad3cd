import type { MutationResult } from '../../protocol/sync.ts';
import type { WorkingRecord } from './working-set.ts';

/** What the records that one batch makes may come to, in characters of JSON: a version is never cut in two (L8). */
const MOST_WRITTEN = 4 * 1024 * 1024;
/** What the conflicts of one batch may show of `yours` and `theirs`; the rest name versions alone (V7). */
const MOST_SHOWN = 64 * 1024;

/** Keeps count of what one batch writes and of what its verdict shows, so that neither grows beyond its message. */
export function createTally(): {
  /** Whether this record is more than a batch may make. */
  overflows(record: WorkingRecord | null): boolean;
  /** The result, without the records in it once enough has been shown. */
  shown(result: MutationResult): MutationResult;
} {
  let [written, shown] = [0, 0];
  return {
    overflows(record) {
      written += record?.json?.length ?? 0;
      return written > MOST_WRITTEN;
    },
    shown(result) {
      if (!result.conflict) return result;
      const { conflict, ...others } = result;
      const { yours, theirs, ...rest } = conflict;
      shown += JSON.stringify([yours, theirs]).length;
      return shown > MOST_SHOWN ? { ...others, conflict: { ...rest, omitted: true } } : result;
    },
  };
}
