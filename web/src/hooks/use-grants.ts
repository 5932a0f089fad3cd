import { useEffect, useState } from 'react';
import type { Session } from '../../../sdk/index.ts';

/** Whether this person may see any branch; undefined while it is not known. Asked only when there is nothing to see. */
export function useGrants(session: Session, ask: boolean): boolean | undefined {
  const [granted, setGranted] = useState<boolean>();
  useEffect(() => {
    if (!ask) return undefined;
    let current = true;
    session
      .request('GET', '/auth/me')
      .then((answer) => {
        if (current) setGranted(mayRead(answer));
      })
      .catch(() => undefined);
    return () => {
      current = false;
    };
  }, [session, ask]);
  return granted;
}

/** An answer that does not say counts as granted: no note is better than a wrong one. */
function mayRead(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null || !('partitions' in answer)) return true;
  const { partitions } = answer;
  if (typeof partitions !== 'object' || partitions === null || !('read' in partitions)) return true;
  return !Array.isArray(partitions.read) || partitions.read.length > 0;
}
