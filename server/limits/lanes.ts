import { AppError } from '../../protocol/errors.ts';

/** Lets one piece of work a key run at a time, in the order they came; those of different keys run side by side. */
export interface Lanes {
  /** Throws `busy` when too many wait. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

const MAX_WAITING = 256;

export function createLanes(): Lanes {
  const lanes = new Map<string, { last: Promise<void>; waiting: number }>();
  return {
    async run(key, work) {
      const lane = lanes.get(key) ?? { last: Promise.resolve(), waiting: 0 };
      if (lane.waiting >= MAX_WAITING) throw new AppError('busy', { retryAfterMs: 2_000 });
      lanes.set(key, lane);
      lane.waiting += 1;
      const result = lane.last.then(work);
      lane.last = result.then(
        () => undefined,
        () => undefined,
      );
      try {
        return await result;
      } finally {
        lane.waiting -= 1;
        if (lane.waiting === 0) lanes.delete(key);
      }
    },
  };
}
