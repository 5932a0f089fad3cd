import { isIP } from 'node:net';
import type { Sql } from '../db.ts';
import { networkOf } from './addresses.ts';
import type { Person } from './second-factors.ts';

/**
 * Whether the person has had a session from there: what strangers do to the account keeps nobody out there (S30). Behind a proxy that
 * writes no addresses (see `callerAddress`) nobody is known.
 */
export async function isKnownNetwork(sql: Sql, person: Person, network: string): Promise<boolean> {
  const rows = await sql<{ ip: string | null }>(
    `SELECT DISTINCT ip FROM sessions WHERE tenant_id = $1 AND principal_kind = 'user' AND principal_id = $2`,
    [person.tenantId, person.userId],
  );
  return rows.some(({ ip }) => ip !== null && isIP(ip) !== 0 && networkOf(ip) === network);
}
