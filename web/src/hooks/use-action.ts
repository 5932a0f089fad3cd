import { useCallback, useState } from 'react';

export interface Action {
  busy: boolean;
  error: unknown;
  run: (work: () => Promise<void>) => Promise<void>;
}

/** One thing a form does: busy while it runs, with its error when it fails. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = useCallback(async (work: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    try {
      await work();
    } catch (reason) {
      setError(reason);
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, error, run };
}
