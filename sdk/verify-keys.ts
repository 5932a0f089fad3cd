import { importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { z } from 'zod';
import type { Fetch } from './types.ts';
import { TokenError } from './verify-errors.ts';

/** The issuer's public keys, as read from its JWKS (RFC 7517). */
export interface KeySet {
  /** The key of that id; undefined when the issuer has none. Throws `unavailable` when its keys cannot be read. */
  find(kid: string): Promise<CryptoKey | undefined>;
  /** Whether the key is one of those last read, and they are fresh. */
  has(kid: string): boolean;
}

/** So long the issuer lets its keys be cached: one that has retired is refused here after this time (S10). */
const MAX_AGE_MS = 300_000;
/** While they cannot be read again, the last ones serve this long. */
const MAX_STALE_MS = 3_600_000;
/** Whatever comes in, they are not read more often than this (S5). */
const COOLDOWN_MS = 10_000;
const TIMEOUT_MS = 5_000;
const MAX_LENGTH = 256 * 1_024;

const keyShape = z.object({
  kid: z.string().regex(/^[\w-]{1,64}$/),
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  use: z.literal('sig').optional(),
  alg: z.literal('ES256').optional(),
});
const setShape = z.object({ keys: z.array(z.unknown()).max(100) });

type Keys = ReadonlyMap<string, CryptoKey>;

export function createKeySet(options: { url: string; fetch: Fetch; now: () => number }): KeySet {
  const { now } = options;
  let keys: Keys = new Map();
  let readAt = -Infinity;
  let triedAt = -Infinity;
  let reading: Promise<void> | undefined;
  const isFresh = (): boolean => now() - readAt < MAX_AGE_MS;
  const read = async (): Promise<void> => {
    triedAt = now();
    keys = await readKeys(options);
    readAt = now();
  };
  /** One at a time, for all that wait; what fails leaves the last ones. */
  const refresh = async (): Promise<void> => {
    if (now() - triedAt >= COOLDOWN_MS) reading ??= read().finally(() => (reading = undefined));
    try {
      await reading;
    } catch (cause) {
      if (now() - readAt >= MAX_STALE_MS) throw unreadable(options.url, cause);
    }
  };
  return {
    has: (kid) => isFresh() && keys.has(kid),
    async find(kid) {
      if (!isFresh() || !keys.has(kid)) await refresh();
      if (now() - readAt >= MAX_STALE_MS) throw unreadable(options.url, undefined);
      return keys.get(kid);
    },
  };
}

async function readKeys({ url, fetch }: { url: string; fetch: Fetch }): Promise<Keys> {
  const response = await fetch(url, {
    headers: { accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok || text.length > MAX_LENGTH) throw new Error(`${url} answered ${response.status}`);
  const keys = new Map<string, CryptoKey>();
  for (const one of setShape.parse(JSON.parse(text)).keys) {
    // a key of another kind is none of ours: nothing else may check a token (S2)
    const parsed = keyShape.safeParse(one);
    if (!parsed.success) continue;
    const { kid, kty, crv, x, y } = parsed.data;
    keys.set(kid, await readKey({ kty, crv, x, y }));
  }
  return keys;
}

function unreadable(url: string, cause: unknown): TokenError {
  return new TokenError('unavailable', `The keys at ${url} cannot be read.`, { cause });
}

async function readKey(jwk: JWK): Promise<CryptoKey> {
  const key = await importJWK(jwk, 'ES256');
  if (key instanceof Uint8Array) throw new TypeError('a secret is no public key');
  return key;
}
