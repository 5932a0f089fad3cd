import { useCallback, useEffect, useState } from 'react';

export interface Loaded<T> {
  /** Undefined until it is there. */
  value: T | undefined;
  error: unknown;
  /** What was shown stays until the new is there. */
  reload: () => Promise<void>;
}

/** Asks once, and again on demand. `load` must stay the same function. */
export function useLoaded<T>(load: () => Promise<T>): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [error, setError] = useState<unknown>();
  const reload = useCallback(async () => {
    try {
      const answer = await load();
      setValue(() => answer);
      setError(undefined);
    } catch (reason) {
      setError(reason);
    }
  }, [load]);
  useEffect(() => void reload(), [reload]);
  return { value, error, reload };
}
