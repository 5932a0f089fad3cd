import { createHash } from 'node:crypto';
import type { Sql } from '../db.ts';

/** What is signed to be used once: client assertions and DPoP proofs; and work that is done once. */
export interface OneTimeProof {
  tenantId: number;
  purpose: 'assertion' | 'dpop' | 'proof-of-work';
  /** Whose it is: the OAuth client, or the thumbprint of the key; what the work was for. */
  of: string;
  jti: string;
  /** Epoch milliseconds from which on it is refused for its age alone. */
  until: number;
}

/** Uses a proof up, in one statement: of parallel ones exactly one is the first (S45, S46). Says whether this was it. */
export async function useProof(sql: Sql, proof: OneTimeProof): Promise<boolean> {
  const { tenantId, purpose, of, jti, until } = proof;
  const rows = await sql(
    `INSERT INTO used_proofs (tenant_id, hash, expires_at) VALUES ($1, $2, $3)
     ON CONFLICT DO NOTHING RETURNING 1`,
    [
      tenantId,
      createHash('sha256')
        .update(JSON.stringify([purpose, of, jti]))
        .digest(),
      new Date(until),
    ],
  );
  return rows.length > 0;
}
