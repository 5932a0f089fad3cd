import type { Clock } from './types.ts';

/** Real time. A pause between two tries holds a Node process alive, so that who waits for `drained()` gets its answer. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};
