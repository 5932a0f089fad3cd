/**
 * Makes work per key coalesce: at most one run at a time, and callers that come during a run share the next one. The
 * promise always is that of a run that started after the call, so what was committed before the call is seen by it.
 */
export function createCoalescer<Key>(work: (key: Key) => Promise<void>): (key: Key) => Promise<void> {
  const running = new Map<Key, Promise<void>>();
  const next = new Map<Key, Promise<void>>();
  const start = (key: Key): Promise<void> => {
    const run = work(key).finally(() => running.delete(key));
    running.set(key, run);
    return run;
  };
  return (key) => {
    const current = running.get(key);
    if (!current) return start(key);
    const waiting =
      next.get(key) ?? current.catch(() => undefined).then(() => (next.delete(key), start(key)));
    next.set(key, waiting);
    return waiting;
  };
}
