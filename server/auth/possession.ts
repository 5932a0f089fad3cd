import { AppError } from '../../protocol/errors.ts';
import type { AccessClaims } from './access-token.ts';
import { verifyProof } from './dpop.ts';
import type { ProofDeps, ShownProof } from './dpop.ts';

/** Where a token comes from, and what was shown beside it. */
export interface Presented {
  ip?: string | undefined;
  requestId?: string | undefined;
  /** Left out: it came as a bearer token. */
  dpop?: ShownProof | undefined;
}

/**
 * A token that is bound to a key is taken only with a proof of that key, one that is not only as a bearer token (RFC 9449
 * section 7). Throws `invalid_token`, `invalid_dpop_proof`, `use_dpop_nonce`.
 */
export async function requirePossession(
  deps: ProofDeps,
  bound: { token: string; claims: AccessClaims; jkt: string | null },
  from: Presented | undefined,
): Promise<void> {
  const { token, claims, jkt } = bound;
  const said = claims.cnf?.jkt ?? null;
  if (said !== jkt) throw new AppError('invalid_token');
  if (jkt === null && from?.dpop === undefined) return;
  if (jkt === null) throw new AppError('invalid_token');
  if (from?.dpop === undefined) throw new AppError('invalid_dpop_proof');
  const shown = await verifyProof(deps, from.dpop, token);
  if (shown !== jkt) throw new AppError('invalid_dpop_proof');
}
