import type { Context } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { DPOP_ALGORITHMS } from '../auth/dpop.ts';
import type { Identity } from '../auth/identity.ts';
import type { Presented } from '../auth/possession.ts';
import type { Principal } from '../auth/principal.ts';
import { callerOf } from './input.ts';

/** An access token, and the scheme it comes with. */
export interface PresentedToken {
  scheme: 'Bearer' | 'DPoP';
  token: string;
}

/** The access token of a request; undefined when there is none. */
export function findAccessToken(ctx: Context): PresentedToken | undefined {
  const [, scheme, token] = /^(Bearer|DPoP) ([\w.~+/-]+=*)$/i.exec(ctx.get('Authorization')) ?? [];
  if (scheme === undefined || token === undefined) return undefined;
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token };
}

/** Authenticates by an access token; refusals of one that is bound to a key carry the challenge of RFC 9449 section 7.1. */
export async function authenticateToken(
  identity: Identity,
  ctx: Context,
  { scheme, token }: PresentedToken,
): Promise<Principal> {
  const from: Presented = { ...callerOf(ctx) };
  if (scheme === 'DPoP') {
    const htu = identity.core.baseUrl().replace(/\/$/, '') + ctx.path;
    from.dpop = { proof: ctx.get('DPoP'), htm: ctx.method, htu };
  }
  try {
    return await identity.authenticate(token, from);
  } catch (error) {
    if (error instanceof AppError) challenge(ctx, error, scheme);
    throw error;
  }
}

function challenge(ctx: Context, error: AppError, scheme: 'Bearer' | 'DPoP'): void {
  const isAboutProof = error.code === 'invalid_dpop_proof' || error.code === 'use_dpop_nonce';
  if (scheme === 'Bearer' && !isAboutProof) return;
  const name = isAboutProof && scheme === 'DPoP' ? error.code : 'invalid_token';
  ctx.set('WWW-Authenticate', `DPoP algs="${DPOP_ALGORITHMS.join(' ')}", error="${name}"`);
  if (error.details.dpopNonce !== undefined) ctx.set('DPoP-Nonce', error.details.dpopNonce);
}
