import { useEffect, useState } from 'react';

/** The time, renewed every `intervalMs`. */
export function useNow(intervalMs = 1_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), intervalMs);
    return () => clearInterval(timer);
  }, [intervalMs]);
  return now;
}

/** Whole seconds until a link tries again; `since` is when it entered its state. */
export function useCountdown(retryAt: number): number {
  const now = useNow();
  return Math.max(0, Math.ceil((retryAt - now) / 1_000));
}
