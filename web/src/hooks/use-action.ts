import { useCallback, useEffect, useRef, useState } from 'react';
import { Declined } from '../model/declined.ts';

export interface Action {
  busy: boolean;
  error: unknown;
  run: (work: () => Promise<void>) => Promise<void>;
}

/** One thing a form does: busy while it runs, with its error when it fails. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const focused = useRef<Element>(null);
  const run = useCallback(async (work: () => Promise<void>) => {
    focused.current = document.activeElement;
    setBusy(true);
    setError(undefined);
    try {
      await work();
    } catch (reason) {
      if (!(reason instanceof Declined)) setError(reason);
    } finally {
      setBusy(false);
    }
  }, []);
  // A button that is busy is disabled, and so loses the focus: keyboards would start again at the top of the page.
  useEffect(() => {
    const { current } = focused;
    if (!busy && document.activeElement === document.body && current instanceof HTMLElement) current.focus();
  }, [busy]);
  return { busy, error, run };
}
