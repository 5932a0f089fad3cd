import { randomUUID } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import type { CryptoKey, JWTHeaderParameters, JWTPayload } from 'jose';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { KeyRing } from './key-ring.ts';

/** `aud` of every access token: this gateway and the services behind it. */
export const AUDIENCE = 'sluice';
const TYPE = 'at+jwt';
const ALGORITHM = 'ES256';
const SKEW_SECONDS = 5;
const MAX_TOKEN_LENGTH = 4_096;
const MAX_CACHED = 20_000;

/** What an access token says (RFC 9068, with `tid` the tenant, `sid` the session). */
export interface AccessClaims {
  tid: number;
  sid: string;
  sub: string;
  scope: string;
  roles: string[];
  client_id: string;
  exp: number;
  jti: string;
}

const claimsShape = z.object({
  tid: z.int().positive().max(2_147_483_647),
  sid: z.uuid(),
  sub: z.uuid(),
  aud: z.literal(AUDIENCE),
  scope: z.string(),
  roles: z.array(z.string()),
  client_id: z.string(),
  exp: z.int(),
  iat: z.int(),
  jti: z.uuid(),
});

export interface TokenDeps {
  keys: KeyRing;
  issuer: () => string;
  clock: () => number;
}

/** Signs an access token with the active key. `exp` in epoch seconds. */
export async function signAccessToken(
  { keys, issuer, clock }: TokenDeps,
  claims: Omit<AccessClaims, 'jti'>,
): Promise<string> {
  const { kid, key } = keys.signer();
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
    .setIssuer(issuer())
    .setAudience(AUDIENCE)
    .setIssuedAt(Math.floor(clock() / 1_000))
    .setJti(randomUUID())
    .sign(key);
}

/** Validates access tokens locally; one that was seen before costs a map look-up, not a signature check. */
export interface TokenVerifier {
  /** Returns the claims. Throws `invalid_token` or `token_expired`. */
  verify(token: string): Promise<AccessClaims>;
}

export function createTokenVerifier(deps: TokenDeps): TokenVerifier {
  const seen = new Map<string, { claims: AccessClaims; kid: string; issuer: string }>();
  return {
    async verify(token) {
      const known = seen.get(token);
      if (known !== undefined && deps.keys.accepts(known.kid) && known.issuer === deps.issuer()) {
        if (known.claims.exp * 1_000 > deps.clock()) return known.claims;
        seen.delete(token);
        throw new AppError('token_expired');
      }
      const verified = await verifySignature(deps, token);
      if (seen.size >= MAX_CACHED) seen.delete(seen.keys().next().value ?? '');
      seen.set(token, { ...verified, issuer: deps.issuer() });
      return verified.claims;
    },
  };
}

async function verifySignature(
  deps: TokenDeps,
  token: string,
): Promise<{ claims: AccessClaims; kid: string }> {
  if (token.length > MAX_TOKEN_LENGTH) throw new AppError('invalid_token');
  try {
    const { payload, protectedHeader } = await jwtVerify(token, (header) => requireKey(deps.keys, header), {
      // one pinned algorithm: nothing in the token chooses how it is checked (S1 to S4)
      algorithms: [ALGORITHM],
      typ: TYPE,
      issuer: deps.issuer(),
      audience: AUDIENCE,
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'sid', 'tid'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(deps.clock()),
    });
    return { claims: parseClaims(payload), kid: protectedHeader.kid ?? '' };
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new AppError('token_expired');
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) throw new AppError('invalid_token');
    throw error;
  }
}

function parseClaims(payload: JWTPayload): AccessClaims {
  const { tid, sid, sub, scope, roles, client_id, exp, jti } = claimsShape.parse(payload);
  return { tid, sid, sub, scope, roles, client_id, exp, jti };
}

/** Our headers hold exactly alg, typ and kid; `jwk`, `jku`, `x5u`, `crit` and the like are somebody else's (S4, S6). */
async function requireKey(keys: KeyRing, header: JWTHeaderParameters): Promise<CryptoKey> {
  const strange = Object.keys(header).some((name) => !['alg', 'typ', 'kid'].includes(name));
  const { kid } = header;
  if (strange || header.typ !== TYPE || typeof kid !== 'string' || !/^[\w-]{1,64}$/.test(kid)) {
    throw new errors.JWSInvalid('unexpected header');
  }
  const key = await keys.find(kid);
  if (key === undefined) throw new errors.JWKSNoMatchingKey();
  return key;
}
