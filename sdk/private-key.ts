import { createPrivateKey, randomUUID } from 'node:crypto';
import type { JsonWebKey, KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { SluiceError } from './errors.ts';
import type { ClientAssertion } from './types.ts';

/** A client that proves itself by a key instead of a secret (private_key_jwt, RFC 7523). For Node: keys are read as OpenSSL has them. */

export interface PrivateKeyOptions {
  /** Which of the client's keys it is, where one is registered with a `kid`; left out: as the JWK says, else none. */
  keyId?: string;
}

/**
 * How long an assertion is good. The gateway takes up to five minutes: half of it lets a clock be wrong by as much, either way. There
 * is no `iat`, for one that lies ahead would be refused.
 */
const LIFE_SECONDS = 150;
const RSA_BITS = { least: 2_048, most: 4_096 };

/** Reads a private key, PEM or JWK, and signs assertions with it. Throws SluiceError `invalid_key`, which says what to do. */
export function privateKeyJwt(key: string, { keyId }: PrivateKeyOptions = {}): ClientAssertion {
  const text = key.trim();
  const { object, alg, kid } = text.startsWith('{') ? readJwk(text) : { object: readPem(text) };
  const algorithm = algorithmOf(object, alg);
  const named = keyId ?? kid;
  const header = { alg: algorithm, typ: 'JWT', ...(named === undefined ? {} : { kid: named }) };
  return ({ clientId, audience, now }) =>
    new SignJWT({ iss: clientId, sub: clientId, aud: audience, jti: randomUUID() })
      .setProtectedHeader(header)
      .setExpirationTime(Math.floor(now / 1_000) + LIFE_SECONDS)
      .sign(object);
}

interface ReadKey {
  object: KeyObject;
  alg?: string;
  kid?: string;
}

function readPem(text: string): KeyObject {
  const [, kind = ''] = /^-----BEGIN ([A-Z0-9 ]+)-----/m.exec(text) ?? [];
  if (kind === '') throw invalidKey('it is neither PEM (-----BEGIN PRIVATE KEY-----) nor a JWK ({"kty": …})');
  if (kind === 'ENCRYPTED PRIVATE KEY' || text.includes('Proc-Type: 4,ENCRYPTED'))
    throw invalidKey(
      'it is protected by a passphrase, which nobody is there to type: write it without one (openssl pkey -in old.key -out new.key) and protect the file (chmod 600)',
    );
  if (kind === 'OPENSSH PRIVATE KEY') throw invalidKey(OPENSSH);
  if (!text.includes('PRIVATE KEY-----'))
    throw invalidKey(`it is a ${kind.toLowerCase()}: give the private key; the gateway gets the public one`);
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw invalidKey('it cannot be read as PEM: is the file whole?', cause);
  }
}

const OPENSSH = 'it is a key of SSH: make one for this (openssl genpkey -algorithm ED25519 -out branch.key)';

function readJwk(text: string): ReadKey {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalidKey('it begins like a JWK, and is not JSON', cause);
  }
  const jwk = onlyKeyOf(parsed as Record<string, unknown>);
  if (jwk.kty === 'oct') throw invalidKey('it is a shared secret (kty oct), not a key pair');
  if (jwk.d === undefined)
    throw invalidKey('it is a public key (there is no "d"): give the private one; the gateway gets this one');
  try {
    const object = createPrivateKey({ key: jwk, format: 'jwk' });
    const { alg, kid } = jwk as { alg?: unknown; kid?: unknown };
    return {
      object,
      ...(typeof alg === 'string' ? { alg } : {}),
      ...(typeof kid === 'string' ? { kid } : {}),
    };
  } catch (cause) {
    throw invalidKey('it cannot be read as a JWK: a member is missing or wrong', cause);
  }
}

/** A JWK, or a JWK Set of one. */
function onlyKeyOf(parsed: Record<string, unknown>): JsonWebKey {
  const { keys } = parsed;
  if (!Array.isArray(keys)) return parsed;
  if (keys.length !== 1) throw invalidKey(`it holds ${keys.length} keys: give the one to sign with`);
  return keys[0] as JsonWebKey;
}

/** A key has one algorithm, the one it is registered with. */
function algorithmOf(key: KeyObject, wanted: string | undefined): string {
  const offered = algorithmsOf(key);
  const alg = wanted ?? offered[0] ?? '';
  if (!offered.includes(alg))
    throw invalidKey(`it is for ${alg}, which does not go with it: its alg is ${offered.join(' or ')}`);
  return alg;
}

/** The first is that of a PEM, which names none. */
function algorithmsOf(key: KeyObject): string[] {
  const { namedCurve = '', modulusLength: bits } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType ?? 'unknown';
  if (namedCurve === 'prime256v1') return ['ES256'];
  if (type === 'ed25519') return ['EdDSA', 'Ed25519'];
  if (bits === undefined) throw notTaken(`${type} ${namedCurve}`.trim());
  if (bits < RSA_BITS.least || bits > RSA_BITS.most) throw notTaken(`RSA of ${bits} bits`);
  return type === 'rsa' ? ['PS256', 'RS256'] : ['PS256'];
}

function notTaken(what: string): SluiceError {
  return invalidKey(
    `it is ${what}, which the gateway does not take: use EC P-256 (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out branch.key), Ed25519, or RSA of 2048 to 4096 bits`,
  );
}

function invalidKey(reason: string, cause?: unknown): SluiceError {
  return new SluiceError('invalid_key', `The private key cannot be used: ${reason}.`, { cause });
}
