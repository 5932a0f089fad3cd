import { useEffect, useState } from 'react';
import type { Session } from '../../../sdk/index.ts';

export interface Rights {
  /** May register branches and give rights. */
  administers: boolean;
  /** May see the records of at least one branch. */
  reads: boolean;
  /** May not see records whatever is granted: the role forbids it. */
  roleForbids: boolean;
  /** May read the audit log and what is counted in it. */
  audits: boolean;
  role: string;
}

/** What this person may do; undefined while it is not known. Asked only when it matters. */
export function useRights(session: Session, ask: boolean): Rights | undefined {
  const [rights, setRights] = useState<Rights>();
  useEffect(() => {
    if (!ask) return undefined;
    let current = true;
    session
      .request('GET', '/auth/me')
      .then((answer) => {
        if (current) setRights(parseRights(answer));
      })
      .catch(() => {
        if (current) setRights(UNKNOWN);
      });
    return () => {
      current = false;
    };
  }, [session, ask]);
  return rights;
}

/** An answer that does not say counts as the right to read: no note is better than a wrong one. */
function parseRights(answer: unknown): Rights {
  const { user, partitions, scopes } = fieldsOf(answer);
  const { role } = fieldsOf(user);
  const { read } = fieldsOf(partitions);
  const may = (scope: string): boolean | undefined =>
    Array.isArray(scopes) ? scopes.includes(scope) : undefined;
  return {
    administers: may('admin') ?? (role === 'owner' || role === 'admin'),
    reads: !Array.isArray(read) || read.length > 0,
    roleForbids: may('sync:read') === false,
    audits: may('audit:read') ?? false,
    role: typeof role === 'string' ? role : '',
  };
}

const UNKNOWN: Rights = { administers: false, reads: true, roleForbids: false, audits: false, role: '' };

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
