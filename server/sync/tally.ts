import type { MutationResult } from '../../protocol/sync.ts';

/** What the records that one batch makes may come to, in bytes of JSON: a version is never cut in two (L8). */
const MOST_WRITTEN = 4 * 1024 * 1024;
/** What one batch may copy of records to patch them, whatever comes of it: the node is deaf meanwhile (P6). */
const MOST_COPIED = 4 * 1024 * 1024;
/** What the conflicts of one batch may show of `yours` and `theirs`; the rest name versions alone (V7). */
const MOST_SHOWN = 64 * 1024;

export interface Tally {
  /** Whether a record of this size may be copied still: asked before it is. What was allowed stays spent. */
  copies(bytes: number): boolean;
  /** Whether the batch may make this much more of records, or less. */
  writes(bytes: number): boolean;
  /** The result, without the records in it once enough has been shown. */
  shown(result: MutationResult): MutationResult;
  /** What the batch has cost so far, in bytes of records. */
  readonly work: number;
}

/** Keeps count of what one batch costs, writes and shows, so that none of it grows beyond its message. */
export function createTally(): Tally {
  let [copied, written, shown] = [0, 0, 0];
  return {
    copies(bytes) {
      if (copied + bytes > MOST_COPIED) return false;
      copied += bytes;
      return true;
    },
    writes(bytes) {
      if (bytes > 0 && written + bytes > MOST_WRITTEN) return false;
      written += bytes;
      return true;
    },
    shown(result) {
      if (!result.conflict) return result;
      const { conflict, ...others } = result;
      const { yours, theirs, ...rest } = conflict;
      // a record is not written out to see that it is too much again
      if (shown <= MOST_SHOWN) shown += JSON.stringify([yours, theirs]).length;
      return shown > MOST_SHOWN ? { ...others, conflict: { ...rest, omitted: true } } : result;
    },
    get work() {
      return copied + written;
    },
  };
}
