/** An authenticated caller, as every domain function receives it. Built from the database, never from client input. */
export interface Principal {
  tenantId: number;
  kind: 'user' | 'device' | 'client' | 'api_key';
  /** UUID of the user, device, client or key. */
  id: string;
  /** Name people see: the username or the client's name. */
  name: string;
  /** What a person wants to be called beside it. */
  displayName?: string | undefined;
  /** The session its tokens belong to: revoking it ends them and its sockets. */
  sessionId: string;
  scopes: ReadonlySet<string>;
  grants: Grants;
  /** When the access token expires, in epoch milliseconds. */
  expiresAt: number;
}

/** Partitions a principal may read and write; `*` stands for all of its tenant. */
export interface Grants {
  read: ReadonlySet<string>;
  write: ReadonlySet<string>;
}

/** How a principal is named in logs, changes and audit rows: `client:6f1c…`. */
export function principalKey(principal: Pick<Principal, 'kind' | 'id'>): string {
  return `${principal.kind}:${principal.id}`;
}

/**
 * Reads grants out of their stored form: `branch-12` grants reading and writing, `branch-12:read` reading only,
 * `*` and `*:read` the same for every partition.
 */
export function parseGrants(entries: readonly string[]): Grants {
  const read = new Set<string>();
  const write = new Set<string>();
  for (const entry of entries) {
    const readOnly = entry.endsWith(':read');
    const partition = readOnly ? entry.slice(0, -':read'.length) : entry;
    read.add(partition);
    if (!readOnly) write.add(partition);
  }
  return { read, write };
}
