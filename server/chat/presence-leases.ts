import type { Presence } from '../../protocol/chat.ts';
import type { Sql } from '../db.ts';

/** The leases in the database; all times are the database's, so that the nodes' clocks do not matter (F27). */

/** What a node says of a principal that is connected to it. */
export interface Lease {
  tenantId: number;
  /** `kind:id`. */
  principal: string;
  kind: string;
  name: string;
  queue: number | null;
  lag: number | null;
  inbox: number | null;
}

/** A lease that is new takes over the status the principal already shows elsewhere; one that is renewed keeps its own. */
const WRITE = `INSERT INTO presence_leases AS mine
    (tenant_id, principal, node_id, kind, name, status, text, since, queue, lag, inbox, expires_at)
  SELECT l.tenant_id, l.principal, $1, l.kind, l.name, coalesce(shown.status, 'online'), shown.text,
         coalesce(shown.since, now()), l.queue, l.lag, l.inbox, now() + $3 * interval '1 millisecond'
  FROM json_to_recordset($2) AS l(tenant_id int, principal text, kind text, name text, queue bigint, lag bigint, inbox bigint)
  LEFT JOIN LATERAL (
    SELECT status, text, since FROM presence_leases o
    WHERE o.tenant_id = l.tenant_id AND o.principal = l.principal AND o.expires_at > now()
    ORDER BY since DESC LIMIT 1
  ) shown ON true
  ORDER BY l.tenant_id, l.principal
  ON CONFLICT (tenant_id, principal, node_id) DO UPDATE
  SET name = excluded.name, queue = excluded.queue, lag = excluded.lag, inbox = excluded.inbox, expires_at = excluded.expires_at,
      status = CASE WHEN mine.expires_at > now() THEN mine.status ELSE excluded.status END,
      text = CASE WHEN mine.expires_at > now() THEN mine.text ELSE excluded.text END,
      since = CASE WHEN mine.expires_at > now() THEN mine.since ELSE excluded.since END`;

/** Writes or renews a node's leases for `ttlMs` from now. */
export async function writeLeases(
  sql: Sql,
  nodeId: string,
  leases: readonly Lease[],
  ttlMs: number,
): Promise<void> {
  if (leases.length === 0) return;
  const rows = leases.map(({ tenantId, ...lease }) => ({ tenant_id: tenantId, ...lease }));
  await sql(WRITE, [nodeId, JSON.stringify(rows), ttlMs]);
}

/** Ends a node's leases of principals that have left it. Those of agents stay, as what was last known of them. */
export async function endLeases(sql: Sql, nodeId: string, leases: readonly Lease[]): Promise<void> {
  if (leases.length === 0) return;
  const rows = leases.map(({ tenantId, ...lease }) => ({ tenant_id: tenantId, ...lease }));
  await sql(
    `WITH gone AS (
       SELECT * FROM json_to_recordset($2) AS l(tenant_id int, principal text, queue bigint, lag bigint, inbox bigint)
     ), people AS (
       DELETE FROM presence_leases WHERE node_id = $1 AND kind <> 'client'
         AND (tenant_id, principal) IN (SELECT tenant_id, principal FROM gone)
     )
     UPDATE presence_leases mine
     SET expires_at = least(mine.expires_at, now()), queue = gone.queue, lag = gone.lag, inbox = gone.inbox
     FROM gone WHERE mine.node_id = $1 AND mine.kind = 'client'
       AND mine.tenant_id = gone.tenant_id AND mine.principal = gone.principal`,
    [nodeId, JSON.stringify(rows)],
  );
}

/** A node that is going leaves its people a moment to come back elsewhere. */
export async function shortenLeases(sql: Sql, nodeId: string, ms: number): Promise<void> {
  await sql(
    `UPDATE presence_leases SET expires_at = least(expires_at, now() + $2 * interval '1 millisecond')
     WHERE node_id = $1`,
    [nodeId, ms],
  );
}

/** An agent that has gone is remembered for so long. */
const REMEMBERED = "interval '30 days'";

/** Removes what dead nodes left behind: of an agent all but its last lease, of others all. */
export async function dropStaleLeases(sql: Sql): Promise<void> {
  await sql(
    `DELETE FROM presence_leases old
     WHERE expires_at < now() - interval '1 minute'
       AND (kind <> 'client' OR expires_at < now() - ${REMEMBERED} OR EXISTS (
         SELECT 1 FROM presence_leases n WHERE n.tenant_id = old.tenant_id AND n.principal = old.principal
           AND (n.expires_at, n.node_id) > (old.expires_at, old.node_id)))`,
  );
}

/** Sets a principal's status wherever it is connected. */
export async function writeStatus(
  sql: Sql,
  who: { tenantId: number; principal: string },
  set: { status: Presence['status']; text?: string | undefined },
): Promise<void> {
  await sql(
    `UPDATE presence_leases SET status = $3, text = $4, since = now() WHERE tenant_id = $1 AND principal = $2`,
    [who.tenantId, who.principal, set.status, set.text ?? null],
  );
}

interface LeaseRow {
  principal: string;
  kind: Presence['kind'];
  name: string;
  display_name?: string | null;
  status: Presence['status'];
  text: string | null;
  since: Date;
  queue: number | null;
  lag: number | null;
  inbox: number | null;
}

/** The principals of a tenant: who is present, and the agents that have been, by the same keys. */
export interface Seen {
  present: Map<string, Presence>;
  absent: Map<string, Presence>;
}

/** One entry a principal, however many nodes it is or was connected to. An agent that is disabled is not expected back. */
export async function readPresence(sql: Sql, tenantId: number): Promise<Seen> {
  const rows = await sql<LeaseRow>(
    `SELECT DISTINCT ON (principal) principal, kind, name, status, text, since,
            max(queue) OVER same AS queue, max(lag) OVER same AS lag, max(inbox) OVER same AS inbox,
            CASE WHEN kind = 'user' THEN
              (SELECT display_name FROM users u
               WHERE u.tenant_id = l.tenant_id AND u.id = substr(l.principal, 6)::uuid) END AS display_name
     FROM presence_leases l WHERE tenant_id = $1 AND expires_at > now()
     WINDOW same AS (PARTITION BY principal)
     ORDER BY principal, since DESC`,
    [tenantId],
  );
  const gone = await sql<LeaseRow>(
    `SELECT DISTINCT ON (principal) principal, kind, name, 'offline' AS status, NULL AS text,
            expires_at AS since, queue, lag, inbox
     FROM presence_leases l
     WHERE tenant_id = $1 AND kind = 'client' AND expires_at BETWEEN now() - ${REMEMBERED} AND now()
       AND NOT EXISTS (SELECT 1 FROM oauth_clients c WHERE c.tenant_id = l.tenant_id
         AND 'client:' || c.id = l.principal AND c.disabled_at IS NOT NULL)
     ORDER BY principal, expires_at DESC`,
    [tenantId],
  );
  return { present: toMap(rows), absent: toMap(gone) };
}

function toMap(rows: readonly LeaseRow[]): Map<string, Presence> {
  return new Map(rows.map((row) => [row.principal, toPresence(row)]));
}

function toPresence(row: LeaseRow): Presence {
  return {
    principal: row.principal,
    kind: row.kind,
    name: row.name,
    ...(typeof row.display_name === 'string' && { displayName: row.display_name }),
    status: row.status,
    ...(row.text === null ? {} : { text: row.text }),
    since: row.since.toISOString(),
    ...(row.queue === null ? {} : { queue: row.queue }),
    ...(row.lag === null ? {} : { lag: row.lag }),
    ...(row.inbox === null ? {} : { inbox: row.inbox }),
  };
}
