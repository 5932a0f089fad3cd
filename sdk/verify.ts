/** Checks a gateway's access tokens inside another service, on Node or wherever there is `fetch`. docs/SDK.md has the rest. */
import { errors, jwtVerify } from 'jose';
import type { CryptoKey, JWTHeaderParameters, JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose';
import { z } from 'zod';
import type { Fetch } from './types.ts';
import { TokenError } from './verify-errors.ts';
import { createKeySet } from './verify-keys.ts';
import { startRevocationWatch } from './verify-revocations.ts';
import type { RevocationOptions } from './verify-revocations.ts';

export { createMachineSession } from './machine-session.ts';
export { TokenError } from './verify-errors.ts';
export type { TokenErrorCode } from './verify-errors.ts';
export type { RevocationOptions } from './verify-revocations.ts';

export interface VerifierOptions {
  /** `iss` of the tokens: the gateway's PUBLIC_URL (or AUTH_URL), without a slash at its end. */
  issuer: string;
  /** `aud` of the tokens. Left out: `sluice`; with a secret it has to be named. */
  audience?: string;
  /** Left out: `<issuer>/.well-known/jwks.json`. */
  jwksUrl?: string;
  /** The gateway's JWT_SECRET, where tokens are signed with one; then no key is read. */
  secret?: string;
  /** While the secret changes: the one before (or the next one), of which tokens are taken as well. */
  previousSecret?: string;
  /** Left out: a token is good until it expires, whatever becomes of its session. */
  revocations?: RevocationOptions;
  fetch?: Fetch;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Who shows a token, in the words of the token. */
export interface TokenPrincipal {
  tenantId: number;
  /** UUID of the user, the device or the client. */
  subject: string;
  sessionId: string;
  /** Public id of the OAuth client; `sluice` for the gateway's own pages and programs. */
  clientId: string;
  scopes: ReadonlySet<string>;
  roles: readonly string[];
  tokenId: string;
  /** Epoch milliseconds. */
  issuedAt: number;
  expiresAt: number;
  /** Thumbprint of the key the token is bound to (RFC 9449); null: of none. */
  keyThumbprint: string | null;
}

export interface Verifier {
  /**
   * Who shows this token. Throws TokenError. `provedThumbprint` is that of the key which a DPoP proof has shown, where the caller has
   * checked one: without it a token that is bound to a key is not taken.
   */
  verify(token: string, shown?: { provedThumbprint?: string }): Promise<TokenPrincipal>;
  /** Resolves once it knows which sessions have ended; rejects with `unavailable`. `verify` waits for that by itself. */
  ready(): Promise<void>;
  /** Ends the reading of revocations. */
  close(): void;
}

const TYPE = 'at+jwt';
const SKEW_SECONDS = 5;
const MAX_TOKEN_LENGTH = 4_096;
const MAX_SEEN = 10_000;

/** One verifier is for one issuer, one audience, one algorithm. Throws TypeError when the options do not say which. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, now = Date.now, fetch = globalThis.fetch.bind(globalThis) } = options;
  const check = createCheck({ ...options, now, fetch });
  const { revocations } = options;
  const watch =
    revocations && startRevocationWatch({ url: `${issuer}/auth/revocations`, ...revocations, fetch, now });
  const seen = new Map<string, Seen>();
  const read = async (token: string): Promise<TokenPrincipal> => {
    const known = seen.get(token);
    if (known && check.stands(known.kid)) {
      if (known.principal.expiresAt + SKEW_SECONDS * 1_000 > now()) return known.principal;
      seen.delete(token);
      throw expired();
    }
    const found = await verifySignature(check, token);
    if (seen.size >= MAX_SEEN) seen.delete(seen.keys().next().value ?? '');
    seen.set(token, found);
    return found.principal;
  };
  return {
    async verify(token, { provedThumbprint } = {}) {
      const principal = await read(token);
      const { keyThumbprint } = principal;
      if (keyThumbprint !== null && keyThumbprint !== provedThumbprint)
        throw new TokenError('proof_required', 'The token is bound to a key that was not shown.');
      if (watch) {
        await watch.ready();
        watch.check(principal);
      }
      return principal;
    },
    ready: async () => watch?.ready(),
    close: () => watch?.close(),
  };
}

interface Seen {
  principal: TokenPrincipal;
  kid: string;
}

/** How a signature is checked: with the issuer's keys or with the secret, and never with what a token names. */
interface Check {
  requireKey(header: JWTHeaderParameters): Promise<CryptoKey | Uint8Array>;
  /** What is asked about a signature that the key has not made. */
  previousKey?: Uint8Array | undefined;
  /** Whether what was checked with that key still stands. */
  stands(kid: string): boolean;
  options(): JWTVerifyOptions & { audience: string };
}

type CheckOptions = VerifierOptions & { fetch: Fetch; now: () => number };

function createCheck(given: CheckOptions): Check {
  const { issuer, audience, jwksUrl, secret, previousSecret, fetch, now } = given;
  const pinned =
    (algorithm: string, own: string): Check['options'] =>
    () => ({
      algorithms: [algorithm],
      typ: TYPE,
      issuer,
      audience: own,
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'sid', 'tid'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(now()),
    });
  if (!URL.canParse(issuer) || issuer.endsWith('/'))
    throw new TypeError('issuer: a URL without a slash at its end');
  if (secret === undefined) {
    if (previousSecret !== undefined) throw new TypeError('previousSecret: only together with a secret');
    const keys = createKeySet({ url: jwksUrl ?? `${issuer}/.well-known/jwks.json`, fetch, now });
    return {
      options: pinned('ES256', audience ?? 'sluice'),
      stands: (kid) => keys.has(kid),
      async requireKey(header) {
        requireHeader(header, ['alg', 'typ', 'kid']);
        const key = typeof header.kid === 'string' ? await keys.find(header.kid) : undefined;
        if (key === undefined) throw new errors.JWKSNoMatchingKey();
        return key;
      },
    };
  }
  if (jwksUrl !== undefined) throw new TypeError('a verifier has a secret or keys, not both');
  if (audience === undefined) throw new TypeError('with a secret, name the audience it is for');
  const key = toKey(secret);
  return {
    options: pinned('HS256', audience),
    previousKey: previousSecret === undefined ? undefined : toKey(previousSecret),
    stands: () => true,
    async requireKey(header) {
      requireHeader(header, ['alg', 'typ']);
      return Promise.resolve(key);
    },
  };
}

function toKey(secret: string): Uint8Array {
  const key = new TextEncoder().encode(secret);
  if (key.length < 32) throw new TypeError('a secret has 32 bytes or more');
  return key;
}

/** The gateway's headers hold exactly these; `jwk`, `jku`, `x5u`, `crit` and the like are somebody else's. */
function requireHeader(header: JWTHeaderParameters, names: readonly string[]): void {
  const isStrange = Object.keys(header).some((name) => !names.includes(name));
  if (isStrange || header.typ !== TYPE) throw new errors.JWSInvalid('unexpected header');
}

async function verifySignature(check: Check, token: unknown): Promise<Seen> {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) throw invalid(undefined);
  try {
    const { payload, protectedHeader } = await verifyWithEither(check, token);
    return { principal: toPrincipal(payload), kid: protectedHeader.kid ?? '' };
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw expired();
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) throw invalid(error);
    throw error;
  }
}

/** The header has been checked by the time the previous key is asked. */
async function verifyWithEither(check: Check, token: string): Promise<JWTVerifyResult> {
  const { previousKey } = check;
  try {
    return await jwtVerify(token, (header) => check.requireKey(header), check.options());
  } catch (error) {
    if (previousKey === undefined || !(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    return jwtVerify(token, previousKey, check.options());
  }
}

const claimsShape = z.object({
  tid: z.int().positive(),
  sid: z.uuid(),
  sub: z.uuid(),
  // one text: a list may name others as well
  aud: z.string(),
  scope: z.string(),
  roles: z.array(z.string()),
  client_id: z.string(),
  exp: z.int(),
  iat: z.int(),
  jti: z.uuid(),
  cnf: z.object({ jkt: z.string() }).optional(),
});

function toPrincipal(payload: JWTPayload): TokenPrincipal {
  const claims = claimsShape.parse(payload);
  return {
    tenantId: claims.tid,
    subject: claims.sub,
    sessionId: claims.sid,
    clientId: claims.client_id,
    scopes: new Set(claims.scope.split(' ').filter(Boolean)),
    roles: claims.roles,
    tokenId: claims.jti,
    issuedAt: claims.iat * 1_000,
    expiresAt: claims.exp * 1_000,
    keyThumbprint: claims.cnf?.jkt ?? null,
  };
}

function invalid(cause: unknown): TokenError {
  return new TokenError('invalid_token', 'That is no access token for this service.', { cause });
}

function expired(): TokenError {
  return new TokenError('token_expired', 'The access token has expired.');
}
