import type { Sql } from '../db.ts';

export interface LoginStats {
  /** Beginning of the hour or the day, in UTC. */
  at: Date;
  /** Proofs of who somebody is that were shown: logins, client authentications, registrations of devices, API keys that were refused. */
  attempts: number;
  /** Those that were refused. */
  failures: number;
  /** Sessions that were opened, each with its first tokens. */
  tokens_issued: number;
  refreshed: number;
  /** Sessions that were ended. */
  revoked: number;
}

export type Bucket = 'hour' | 'day';

export const BUCKET_MS = { hour: 3_600_000, day: 86_400_000 } as const;
/** An answer has no more than this many buckets. */
export const MOST_BUCKETS = 800;

/** Counts the audit log of one tenant, by UTC hours or days that `from` (included) and `to` (not) lie in; empty ones are there as well. */
export async function countLogins(
  sql: Sql,
  tenantId: number,
  range: { from: Date; to: Date; bucket: Bucket },
): Promise<LoginStats[]> {
  const ms = BUCKET_MS[range.bucket];
  const first = Math.floor(range.from.getTime() / ms) * ms;
  const end = Math.ceil(range.to.getTime() / ms) * ms;
  const rows = await sql<LoginStats>(COUNT, [tenantId, new Date(first), new Date(end), ms / 1_000]);
  const counted = new Map(rows.map((row) => [row.at.getTime(), row]));
  const all: LoginStats[] = [];
  for (let at = first; at < end; at += ms) all.push(counted.get(at) ?? { at: new Date(at), ...NOTHING });
  return all;
}

const NOTHING = { attempts: 0, failures: 0, tokens_issued: 0, refreshed: 0, revoked: 0 };

/** Of these a success opens a session. A password that a second factor has to follow is counted with that. */
const OPENS = `action IN ('auth.login', 'auth.login_mfa', 'auth.login_passkey', 'oauth.token', 'device.registered', 'device.session_opened')`;
const PROVES = `(${OPENS} OR action IN ('oauth.client_authentication', 'api_key.authentication')) AND code IS DISTINCT FROM 'mfa_required'`;
/** How many sessions a row says it has ended. */
const ENDED = `CASE
  WHEN action IN ('auth.logout', 'auth.refresh_reuse') THEN 1
  WHEN jsonb_typeof(details -> 'sessions') = 'number' THEN (details ->> 'sessions')::integer
  WHEN jsonb_typeof(details -> 'ended') = 'array' THEN jsonb_array_length(details -> 'ended')
  ELSE 0 END`;

/** The second condition is the one of audit_logs_logins_idx, word for word: without it the index would not be taken. */
const COUNT = `
  SELECT to_timestamp(floor(extract(epoch FROM at) / $4) * $4) AS at,
         count(*) FILTER (WHERE ${PROVES})::integer AS attempts,
         count(*) FILTER (WHERE ${PROVES} AND NOT success)::integer AS failures,
         count(*) FILTER (WHERE ${OPENS} AND success)::integer AS tokens_issued,
         count(*) FILTER (WHERE action = 'auth.refresh' AND success)::integer AS refreshed,
         coalesce(sum(${ENDED}), 0)::integer AS revoked
  FROM audit_logs
  WHERE tenant_id = $1 AND at >= $2 AND at < $3
    AND (action LIKE 'auth.%' OR action LIKE 'oauth.%' OR action LIKE 'device.%'
         OR action IN ('session.revoked', 'api_key.authentication'))
  GROUP BY 1`;
