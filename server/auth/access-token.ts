import { randomUUID } from 'node:crypto';
import { SignJWT, errors, jwtVerify } from 'jose';
import type { CryptoKey, JWTHeaderParameters, JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import type { KeyRing } from './key-ring.ts';

/** `aud` of access tokens that are signed with a key: this gateway and the services behind it. */
const AUDIENCE = 'sluice';
const TYPE = 'at+jwt';
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
  iat: number;
  jti: string;
  /** Thumbprint of the key it is bound to (RFC 9449). */
  cnf?: { jkt: string } | undefined;
}

const claimsShape = z.object({
  tid: z.int().positive().max(2_147_483_647),
  sid: z.uuid(),
  sub: z.uuid(),
  // one text: a list may name others as well (S7)
  aud: z.string(),
  scope: z.string(),
  roles: z.array(z.string()),
  client_id: z.string(),
  exp: z.int(),
  iat: z.int(),
  jti: z.uuid(),
  cnf: z.object({ jkt: z.string() }).optional(),
});

/**
 * How access tokens are signed and checked: with the key ring (ES256), or with JWT_SECRET (HS256). A process has one of them, with
 * an algorithm, an audience and a kind of key of its own, and no token says which (S2, S3, S11).
 */
export interface TokenScheme {
  algorithm: 'ES256' | 'HS256';
  audience: string;
  signer(): { header: { kid?: string }; key: CryptoKey | Uint8Array };
  /** What checks a token with that header. Throws a JOSEError when nothing does. */
  requireKey(header: JWTHeaderParameters): Promise<CryptoKey | Uint8Array>;
  /** Checks as well, and signs nothing: the secret before. */
  previousKey?: Uint8Array | undefined;
  /** Whether what was checked with that key before still counts. */
  accepts(kid: string): boolean;
}

export function createTokenScheme(options: {
  keys: KeyRing;
  config: Pick<Config, 'JWT_SECRET' | 'JWT_SECRET_PREVIOUS' | 'JWT_AUDIENCE'>;
}): TokenScheme {
  const { JWT_SECRET, JWT_SECRET_PREVIOUS, JWT_AUDIENCE } = options.config;
  return JWT_SECRET === undefined
    ? keyScheme(options.keys)
    : secretScheme({ current: JWT_SECRET, previous: JWT_SECRET_PREVIOUS, audience: JWT_AUDIENCE });
}

function keyScheme(keys: KeyRing): TokenScheme {
  return {
    algorithm: 'ES256',
    audience: AUDIENCE,
    signer() {
      const { kid, key } = keys.signer();
      return { header: { kid }, key };
    },
    async requireKey(header) {
      requireHeader(header, ['alg', 'typ', 'kid']);
      const { kid } = header;
      if (typeof kid !== 'string' || !/^[\w-]{1,64}$/.test(kid)) throw new errors.JWSInvalid('no key id');
      const key = await keys.find(kid);
      if (key === undefined) throw new errors.JWKSNoMatchingKey();
      return key;
    },
    accepts: (kid) => keys.accepts(kid),
  };
}

/** Signs with the current secret alone. The bytes of a secret are those it is written with, as every library takes them. */
function secretScheme(options: {
  current: string;
  previous: string | undefined;
  audience: string;
}): TokenScheme {
  const { current, previous, audience } = options;
  const key = new TextEncoder().encode(current);
  return {
    algorithm: 'HS256',
    audience,
    previousKey: previous === undefined ? undefined : new TextEncoder().encode(previous),
    signer: () => ({ header: {}, key }),
    async requireKey(header) {
      requireHeader(header, ['alg', 'typ']);
      return Promise.resolve(key);
    },
    accepts: () => true,
  };
}

/** Our headers hold exactly these; `jwk`, `jku`, `x5u`, `crit` and the like are somebody else's (S4, S6). */
function requireHeader(header: JWTHeaderParameters, names: readonly string[]): void {
  const strange = Object.keys(header).some((name) => !names.includes(name));
  if (strange || header.typ !== TYPE) throw new errors.JWSInvalid('unexpected header');
}

export interface TokenDeps {
  tokens: TokenScheme;
  issuer: () => string;
  clock: () => number;
}

/** Signs an access token. `exp` in epoch seconds. */
export async function signAccessToken(
  { tokens, issuer, clock }: TokenDeps,
  claims: Omit<AccessClaims, 'jti' | 'iat'>,
): Promise<string> {
  const { header, key } = tokens.signer();
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: tokens.algorithm, typ: TYPE, ...header })
    .setIssuer(issuer())
    .setAudience(tokens.audience)
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
      if (known !== undefined && deps.tokens.accepts(known.kid) && known.issuer === deps.issuer()) {
        if ((known.claims.exp + SKEW_SECONDS) * 1_000 > deps.clock()) return known.claims;
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
  { tokens, issuer, clock }: TokenDeps,
  token: string,
): Promise<{ claims: AccessClaims; kid: string }> {
  if (token.length > MAX_TOKEN_LENGTH) throw new AppError('invalid_token');
  try {
    const { payload, protectedHeader } = await verifyWithEither(tokens, token, {
      // one pinned algorithm: nothing in the token chooses how it is checked (S1 to S4)
      algorithms: [tokens.algorithm],
      typ: TYPE,
      issuer: issuer(),
      audience: tokens.audience,
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'sid', 'tid'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(clock()),
    });
    return { claims: parseClaims(payload), kid: protectedHeader.kid ?? '' };
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new AppError('token_expired');
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) throw new AppError('invalid_token');
    throw error;
  }
}

/** The secret before is asked only about a signature that the current one has not made; its header has been checked by then. */
async function verifyWithEither(
  tokens: TokenScheme,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  const { previousKey } = tokens;
  try {
    return await jwtVerify(token, (header) => tokens.requireKey(header), options);
  } catch (error) {
    if (previousKey === undefined || !(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    return jwtVerify(token, previousKey, options);
  }
}

function parseClaims(payload: JWTPayload): AccessClaims {
  const { tid, sid, sub, scope, roles, client_id, exp, iat, jti, cnf } = claimsShape.parse(payload);
  return { tid, sid, sub, scope, roles, client_id, exp, iat, jti, cnf };
}
