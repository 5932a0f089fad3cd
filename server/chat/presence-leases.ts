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
}

/** A lease that is new takes over the status the principal already shows elsewhere; one that is renewed keeps its own. */
const WRITE = `INSERT INTO presence_leases AS mine
    (tenant_id, principal, node_id, kind, name, status, text, since, queue, lag, expires_at)
  SELECT l.tenant_id, l.principal, $1, l.kind, l.name, coalesce(shown.status, 'online'), shown.text,
         coalesce(shown.since, now()), l.queue, l.lag, now() + $3 * interval '1 millisecond'
  FROM json_to_recordset($2) AS l(tenant_id int, principal text, kind text, name text, queue bigint, lag bigint)
  LEFT JOIN LATERAL (
    SELECT status, text, since FROM presence_leases o
    WHERE o.tenant_id = l.tenant_id AND o.principal = l.principal AND o.expires_at > now()
    ORDER BY since DESC LIMIT 1
  ) shown ON true
  ORDER BY l.tenant_id, l.principal
  ON CONFLICT (tenant_id, principal, node_id) DO UPDATE
  SET name = excluded.name, queue = excluded.queue, lag = excluded.lag, expires_at = excluded.expires_at,
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

/** Ends a node's leases of principals that have left it. */
export async function endLeases(sql: Sql, nodeId: string, leases: readonly Lease[]): Promise<void> {
  if (leases.length === 0) return;
  await sql(
    `DELETE FROM presence_leases
     WHERE node_id = $1 AND (tenant_id, principal) IN (SELECT * FROM unnest($2::int[], $3::text[]))`,
    [nodeId, leases.map((lease) => lease.tenantId), leases.map((lease) => lease.principal)],
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

/** Removes what dead nodes left behind. */
export async function dropStaleLeases(sql: Sql): Promise<void> {
  await sql(`DELETE FROM presence_leases WHERE expires_at < now() - interval '1 minute'`);
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
  tenant_id: number;
  principal: string;
  kind: Presence['kind'];
  name: string;
  status: Presence['status'];
  text: string | null;
  since: Date;
  queue: number | null;
  lag: number | null;
}

/** Who is present in the tenants: one entry a principal, however many nodes it is connected to. */
export async function readPresence(
  sql: Sql,
  tenantIds: readonly number[],
): Promise<Map<number, Map<string, Presence>>> {
  const rows = await sql<LeaseRow>(
    `SELECT DISTINCT ON (tenant_id, principal) tenant_id, principal, kind, name, status, text, since,
            max(queue) OVER same AS queue, max(lag) OVER same AS lag
     FROM presence_leases WHERE tenant_id = ANY($1) AND expires_at > now()
     WINDOW same AS (PARTITION BY tenant_id, principal)
     ORDER BY tenant_id, principal, since DESC`,
    [tenantIds],
  );
  const present = new Map(tenantIds.map((tenantId) => [tenantId, new Map<string, Presence>()]));
  for (const row of rows) present.get(row.tenant_id)?.set(row.principal, toPresence(row));
  return present;
}

function toPresence(row: LeaseRow): Presence {
  return {
    principal: row.principal,
    kind: row.kind,
    name: row.name,
    status: row.status,
    ...(row.text === null ? {} : { text: row.text }),
    since: row.since.toISOString(),
    ...(row.queue === null ? {} : { queue: row.queue }),
    ...(row.lag === null ? {} : { lag: row.lag }),
  };
}
