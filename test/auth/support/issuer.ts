import { randomUUID } from 'node:crypto';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';

export const ISSUER = 'https://auth.example.org';
export const SECRET = 'a secret of this one service, 0123456789';

/** An issuer whose keys and tokens are made by the test: only what a case changes is wrong. */
export interface Issuer {
  /** Signs as the gateway does; what is given replaces, undefined leaves out. */
  sign(change?: Change): Promise<string>;
  /** A key that is published from now on. */
  addKey(kid: string): Promise<CryptoKey>;
  removeKey(kid: string): void;
  published(): JWK[];
  /** Serves the JWKS, and counts. */
  fetch: typeof globalThis.fetch;
  reads(): number;
  /** The JWKS cannot be read. */
  down: boolean;
  now: () => number;
  advance(ms: number): void;
}

export interface Change {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  key?: CryptoKey | Uint8Array;
}

export async function createIssuer(): Promise<Issuer> {
  const keys = new Map<string, { jwk: JWK; key: CryptoKey }>();
  let reads = 0;
  let ahead = 0;
  const now = (): number => Date.now() + ahead;
  const issuer: Issuer = {
    down: false,
    now,
    advance: (ms) => void (ahead += ms),
    reads: () => reads,
    published: () => [...keys.values()].map(({ jwk }) => jwk),
    async addKey(kid) {
      const pair = await generateKeyPair('ES256', { extractable: true });
      const jwk = { ...(await exportJWK(pair.publicKey)), kid, alg: 'ES256', use: 'sig' };
      keys.set(kid, { jwk, key: pair.privateKey });
      return pair.privateKey;
    },
    removeKey: (kid) => void keys.delete(kid),
    fetch: () => {
      reads += 1;
      if (issuer.down) return Promise.reject(new TypeError('fetch failed'));
      return Promise.resolve(Response.json({ keys: issuer.published() }));
    },
    async sign({ header = {}, claims = {}, key } = {}) {
      const [kid = ''] = keys.keys();
      const full = { alg: 'ES256', typ: 'at+jwt', kid, ...header };
      const signer = key ?? keys.get(full.kid)?.key ?? keys.get(kid)?.key;
      if (signer === undefined) throw new Error('no key');
      return new CompactSign(new TextEncoder().encode(JSON.stringify({ ...claimsOf(now()), ...claims })))
        .setProtectedHeader(JSON.parse(JSON.stringify(full)) as { alg: string })
        .sign(signer, { crit: { 'x-test': true } });
    },
  };
  await issuer.addKey('first');
  return issuer;
}

function claimsOf(now: number): Record<string, unknown> {
  const at = Math.floor(now / 1_000);
  return {
    iss: ISSUER,
    aud: 'sluice',
    sub: randomUUID(),
    sid: randomUUID(),
    jti: randomUUID(),
    tid: 1,
    scope: 'sync:read sync:write',
    roles: ['service'],
    client_id: 'branch-12',
    iat: at,
    exp: at + 900,
  };
}

/** What becomes of it: `accepted`, or the code it is refused with. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'accepted',
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  );
}
