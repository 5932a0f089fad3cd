import { createHash } from 'node:crypto';
import { EmbeddedJWK, calculateJwkThumbprint, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { JWK } from 'jose';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Clock } from './clock.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { SecretBox } from './secret-box.ts';
import { useProof } from './used-proofs.ts';
import type { Database } from '../db.ts';

/** Proof of possession of a key (RFC 9449): a token that is bound to one is worth nothing without it. */

export const DPOP_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA'];

/** What a caller shows beside a token: a proof, and what it has to be about. */
export interface ShownProof {
  /** The `DPoP` header, or `dpop` of a socket's handshake. */
  proof: string;
  /** Method and URL as configured, never as the request says (S46). */
  htm: string;
  htu: string;
}

export interface ProofDeps {
  db: Pick<Database, 'sql'>;
  box: SecretBox;
  clock: Clock;
}

const TYPE = 'dpop+jwt';
const HEADERS = ['alg', 'jwk', 'typ'];
const PUBLIC_MEMBERS = ['kty', 'crv', 'x', 'y', 'kid', 'alg', 'use', 'key_ops', 'ext'];
const MAX_LENGTH = 2_048;
const MAX_AGE_SECONDS = 60;
const SKEW_SECONDS = 5;
/** A nonce is good for this long at least and twice as long at most. */
const NONCE_MS = 120_000;

const claimsShape = z.object({
  jti: z.string().min(1).max(200),
  htm: z.string(),
  htu: z.string(),
  iat: z.int(),
  ath: z.string().optional(),
  nonce: z.string().optional(),
});
type Claims = z.output<typeof claimsShape>;

/**
 * The nonce that proofs have to carry now: proofs cannot be made in advance. Nothing is kept; every node with the same
 * encryption key gives and takes the same ones.
 */
export function dpopNonce({ box, clock }: Pick<ProofDeps, 'box' | 'clock'>, windowsAgo = 0): string {
  const window = Math.floor(clock() / NONCE_MS) - windowsAgo;
  return box.digest('dpop nonce', String(window)).subarray(0, 16).toString('base64url');
}

/**
 * Checks a proof and uses it up, in whichever tenant it was shown: it names none. With `accessToken` it must be about that token.
 * Returns the thumbprint of its key. Throws `invalid_dpop_proof`, `use_dpop_nonce`.
 */
export async function verifyProof(deps: ProofDeps, shown: ShownProof, accessToken?: string): Promise<string> {
  const { claims, jkt } = await readProof(deps, shown.proof);
  const ath = accessToken === undefined ? undefined : hashOf(accessToken);
  if (claims.htm !== shown.htm || !isSameUrl(claims.htu, shown.htu) || claims.ath !== ath) {
    throw new AppError('invalid_dpop_proof');
  }
  const now = deps.clock() / 1_000;
  if (claims.iat > now + SKEW_SECONDS || claims.iat < now - MAX_AGE_SECONDS) {
    throw new AppError('invalid_dpop_proof');
  }
  if (claims.nonce !== dpopNonce(deps) && claims.nonce !== dpopNonce(deps, 1)) {
    throw new AppError('use_dpop_nonce', { dpopNonce: dpopNonce(deps) });
  }
  const first = await useProof(deps.db.sql, {
    tenantId: PEOPLE_TENANT,
    purpose: 'dpop',
    of: jkt,
    jti: claims.jti,
    until: (claims.iat + MAX_AGE_SECONDS + 2 * SKEW_SECONDS) * 1_000,
  });
  if (!first) throw new AppError('invalid_dpop_proof');
  return jkt;
}

/** The signature, by the key in the proof's own header: whose key that is, the thumbprint says. */
async function readProof(deps: ProofDeps, proof: string): Promise<{ claims: Claims; jkt: string }> {
  try {
    const jwk = requireOwnKey(proof);
    const { payload } = await jwtVerify(proof, EmbeddedJWK, {
      algorithms: DPOP_ALGORITHMS,
      typ: TYPE,
      currentDate: new Date(deps.clock()),
    });
    return { claims: claimsShape.parse(payload), jkt: await calculateJwkThumbprint(jwk) };
  } catch (cause) {
    // nothing here but what the caller sent can be at fault
    throw new AppError('invalid_dpop_proof', { cause });
  }
}

function requireOwnKey(proof: string): JWK {
  if (proof.length > MAX_LENGTH) throw new errors.JWSInvalid('too long');
  const header = decodeProtectedHeader(proof);
  const { jwk } = header;
  const isOurs = Object.keys(header).every((name) => HEADERS.includes(name));
  if (!isOurs || jwk === undefined || !Object.keys(jwk).every((name) => PUBLIC_MEMBERS.includes(name))) {
    throw new errors.JWSInvalid('unexpected header');
  }
  return jwk;
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

/** Without query and fragment, which a proof leaves out (RFC 9449 section 4.3). */
function isSameUrl(left: string, right: string): boolean {
  if (!URL.canParse(left)) return false;
  const plain = (text: string): string => {
    const { origin, pathname } = new URL(text);
    return origin + pathname;
  };
  return plain(left) === plain(right);
}
