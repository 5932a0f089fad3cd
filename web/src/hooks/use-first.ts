import { useEffect, useState } from 'react';

/** Whether nobody has an account yet. A gateway that does not say so has somebody. */
export function useFirst(): boolean {
  const [first, setFirst] = useState(false);
  useEffect(() => {
    let current = true;
    fetch('/api/signup', { headers: { accept: 'application/json' }, cache: 'no-store' })
      .then((answer) => (answer.ok ? (answer.json() as Promise<{ first?: unknown }>) : {}))
      .then((answer) => {
        if (current) setFirst('first' in answer && answer.first === true);
      })
      .catch(() => undefined);
    return () => {
      current = false;
    };
  }, []);
  return first;
}
