/** Tells React that data changed, at most once per frame however many changes there were. */
export interface Signal {
  subscribe: (listener: () => void) => () => void;
  /** Grows with each notification: the snapshot for useSyncExternalStore. */
  version: () => number;
  /** Something changed: listeners hear of it in the next frame. */
  touch: () => void;
}

export interface SignalOptions {
  /** Least milliseconds between two notifications: faster than people read, slower than changes come. */
  intervalMs?: () => number;
}

export function createSignal({ intervalMs = () => 0 }: SignalOptions = {}): Signal {
  const listeners = new Set<() => void>();
  let version = 0;
  let pending = false;
  let last = 0;

  function flush(): void {
    pending = false;
    last = performance.now();
    version += 1;
    for (const listener of listeners) listener();
  }

  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    version: () => version,
    touch() {
      if (pending) return;
      pending = true;
      const wait = last + intervalMs() - performance.now();
      if (wait > 0) setTimeout(() => requestAnimationFrame(flush), wait);
      else requestAnimationFrame(flush);
    },
  };
}
