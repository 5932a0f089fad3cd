import { decodeProtectedHeader, errors, generateKeyPair, jwtVerify } from 'jose';
import type { CryptoKey, JWTPayload, ProtectedHeaderParameters } from 'jose';
import { z } from 'zod';
import { ASSERTION_ALGORITHMS, findKeys } from './client-keys.ts';
import type { ClientKeys } from './client-keys.ts';
import type { IdentityCore } from './core.ts';
import { isStorable } from './names.ts';
import { useProof } from './used-proofs.ts';

/** Client authentication by a signed assertion (RFC 7523, private_key_jwt). */

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Longest way ahead that an assertion may expire: its jti is remembered that long. */
const MAX_LIFE_SECONDS = 300;
const SKEW_SECONDS = 5;
const MAX_LENGTH = 4_096;
const HEADERS = ['alg', 'typ', 'kid'];
/** What else we and our clients sign with the same kind of key must not pass for an assertion. */
const TYPES: unknown[] = [undefined, 'JWT', 'client-authentication+jwt'];

const claimsShape = z.object({
  iss: z.string(),
  sub: z.string(),
  aud: z.union([z.string(), z.tuple([z.string()]).transform(([only]) => only)]),
  exp: z.int(),
  iat: z.int().optional(),
  jti: z.string().min(1).max(200),
});

/** The client that an assertion says it comes from, unproved; undefined when it says none. */
export function findIssuerOf(assertion: string): string | undefined {
  try {
    const [, payload = ''] = assertion.split('.');
    const { iss } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { iss?: unknown };
    return typeof iss === 'string' && iss.length <= 200 && isStorable(iss) ? iss : undefined;
  } catch {
    return undefined;
  }
}

/** Why an assertion is no good: for the audit log, never for the caller. */
export type AssertionFault = 'malformed' | 'signature' | 'claims' | 'replayed';

/**
 * Checks an assertion against the registered keys and uses it up. An unknown client costs a signature check too (S43).
 * Returns what is wrong with it; undefined: nothing.
 */
export async function checkAssertion(
  core: IdentityCore,
  client: { tenantId: number; clientId: string; keys: ClientKeys | null },
  assertion: string,
): Promise<AssertionFault | undefined> {
  const header = findHeader(assertion);
  if (header === undefined) return 'malformed';
  const payload = await findPayload(core, client.keys, assertion, header);
  if (payload === undefined) return 'signature';
  const claims = claimsShape.safeParse(payload).data;
  if (claims === undefined || !areClaimsGood(core, client.clientId, claims)) return 'claims';
  const first = await useProof(core.db.sql, {
    tenantId: client.tenantId,
    purpose: 'assertion',
    of: client.clientId,
    jti: claims.jti,
    until: (claims.exp + 2 * SKEW_SECONDS) * 1_000,
  });
  return first ? undefined : 'replayed';
}

interface Header {
  alg: string;
  kid: string | undefined;
}

/** Exactly our headers: `jwk`, `jku`, `x5u`, `crit` and the like choose nothing here. */
function findHeader(assertion: string): Header | undefined {
  if (assertion.length > MAX_LENGTH) return undefined;
  let header: ProtectedHeaderParameters;
  try {
    header = decodeProtectedHeader(assertion);
  } catch {
    return undefined;
  }
  const { alg, kid, typ } = header as { alg?: unknown; kid?: unknown; typ?: unknown };
  const isKnown = Object.keys(header).every((name) => HEADERS.includes(name)) && TYPES.includes(typ);
  const isOffered = (ASSERTION_ALGORITHMS as readonly unknown[]).includes(alg);
  if (!isKnown || !isOffered || (kid !== undefined && typeof kid !== 'string')) return undefined;
  return { alg: alg as string, kid };
}

/** What was signed, when it was signed with one of the keys and is of this time. */
async function findPayload(
  core: IdentityCore,
  keys: ClientKeys | null,
  assertion: string,
  header: Header,
): Promise<JWTPayload | undefined> {
  const fitting = await findKeys(keys, header);
  const tried = fitting.length > 0 ? fitting : [await keyOfNobody(header.alg)];
  for (const key of tried) {
    try {
      const { payload } = await jwtVerify(assertion, key, {
        algorithms: [header.alg],
        requiredClaims: ['iss', 'sub', 'aud', 'exp', 'jti'],
        clockTolerance: SKEW_SECONDS,
        currentDate: new Date(core.clock()),
      });
      return payload;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return undefined;
}

/** It speaks of this client alone, to us alone, and not for long. */
function areClaimsGood(core: IdentityCore, clientId: string, claims: z.output<typeof claimsShape>): boolean {
  const now = core.clock() / 1_000;
  const issuer = core.issuer();
  const base = issuer.replace(/\/$/, '');
  return (
    claims.iss === clientId &&
    claims.sub === clientId &&
    // clients of before RFC 7523's revision name the token endpoint
    [issuer, base, `${base}/oauth/token`].includes(claims.aud) &&
    claims.exp - now <= MAX_LIFE_SECONDS + SKEW_SECONDS &&
    (claims.iat === undefined || claims.iat <= now + SKEW_SECONDS)
  );
}

const nobodys = new Map<string, Promise<CryptoKey>>();

/** A key that nobody has the other half of, for assertions of clients without a fitting one. */
function keyOfNobody(alg: string): Promise<CryptoKey> {
  const known = nobodys.get(alg);
  if (known !== undefined) return known;
  const made = generateKeyPair(alg).then(({ publicKey }) => publicKey);
  nobodys.set(alg, made);
  return made;
}
