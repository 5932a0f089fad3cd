import { createPublicKey } from 'node:crypto';
import { importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { z } from 'zod';

/** Public keys that OAuth clients register. They are given, never fetched: no client names a URL (S68). */

/** Algorithms of client assertions. One key has one algorithm: nothing in an assertion chooses how it is checked. */
export const ASSERTION_ALGORITHMS = ['ES256', 'PS256', 'RS256', 'Ed25519', 'EdDSA'] as const;

export interface ClientKeys {
  keys: JWK[];
}

const MAX_KEYS = 10;
const MIN_RSA_BITS = 2_048;
const MAX_RSA_BITS = 4_096;
/** Members of private keys and shared secrets (RFC 7518 section 6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

const part = z.string().regex(/^[\w-]{1,800}$/);
const kid = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/)
  .optional();
const use = z.literal('sig').optional();

// what does not belong to a public key is dropped: x5c, x5u, ext, key_ops…
const shape = z.union(
  [
    z.object({
      kty: z.literal('EC'),
      crv: z.literal('P-256'),
      x: part,
      y: part,
      kid,
      use,
      alg: z.literal('ES256').default('ES256'),
    }),
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: part,
      kid,
      use,
      alg: z.enum(['Ed25519', 'EdDSA']).default('Ed25519'),
    }),
    z.object({ kty: z.literal('RSA'), n: part, e: part, kid, use, alg: z.enum(['PS256', 'RS256']) }),
  ],
  'a public key: EC P-256, OKP Ed25519, or RSA of 2048 to 4096 bits with its alg (PS256 or RS256)',
);

const publicKey = z
  .looseObject({})
  .refine(
    (jwk) => PRIVATE_MEMBERS.every((name) => !(name in jwk)),
    'this is a private key: keep it, and register its public half',
  )
  .pipe(shape)
  .refine(isUsable, 'the key cannot be used');

/** A JWK Set as it is registered (RFC 7517). */
export const clientKeys = z
  .object({ keys: z.array(publicKey).min(1).max(MAX_KEYS) })
  .refine(
    ({ keys }) => new Set(keys.map((key) => key.kid ?? JSON.stringify(key))).size === keys.length,
    'two keys are the same, or have the same kid',
  )
  .transform((set): ClientKeys => ({ keys: set.keys.map((key) => withoutUndefined(key)) }));

/** The keys an assertion with this header may be signed with; each of the algorithm that the header says. */
export async function findKeys(
  set: ClientKeys | null,
  header: { alg: string; kid: string | undefined },
): Promise<CryptoKey[]> {
  const fitting = (set?.keys ?? []).filter(
    (key) => sameAlgorithm(key.alg, header.alg) && (header.kid === undefined || key.kid === header.kid),
  );
  return Promise.all(fitting.map(async (key) => (await importJWK(key, header.alg)) as CryptoKey));
}

/** RFC 9864 has named EdDSA anew: with this one curve they are the same. */
function sameAlgorithm(left: string | undefined, right: string): boolean {
  const name = (alg: string | undefined): string | undefined => (alg === 'EdDSA' ? 'Ed25519' : alg);
  return name(left) === name(right);
}

function isUsable(jwk: z.output<typeof shape>): boolean {
  try {
    const key = createPublicKey({ key: withoutUndefined(jwk), format: 'jwk' });
    const bits = key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS;
    return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS;
  } catch {
    return false;
  }
}

function withoutUndefined(jwk: z.output<typeof shape>): JWK {
  return Object.fromEntries(Object.entries(jwk).filter(([, value]) => value !== undefined));
}
