import type { Clock } from './types.ts';

/** Real time. Its timers do not hold a Node process alive by themselves; an open socket does. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};
