import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** An authenticator and its browser, in software: ES256 keys, attestation `none`, JSON as WebAuthn Level 3 has it. */
export interface Authenticator {
  credentialId: string;
  /** Makes the passkey that `options` asks for. */
  create(options: CreationOptions, lies?: Lies): Record<string, unknown>;
  /** Signs what `options` asks for. Its counter goes up by one each time. */
  get(options: { challenge: string }, lies?: Lies): Record<string, unknown>;
  /** The same key and counter at another place. */
  copy(): Authenticator;
}

export interface CreationOptions {
  challenge: string;
  user: { id: string };
}

/** What an attacker, or a broken browser, says instead. */
export interface Lies {
  origin?: string;
  rpId?: string;
  challenge?: string;
  type?: string;
  crossOrigin?: boolean;
  counter?: number;
  /** The user was there, but nobody looked who it was. */
  unverified?: boolean;
  userHandle?: string;
  credentialId?: string;
  fmt?: string;
  attStmt?: Cbor;
  /** Signs with a key nobody has registered. */
  strangeKey?: boolean;
}

interface Site {
  rpId: string;
  origin: string;
}

/** `counts: false` for a key chain, which always says 0. */
export function createAuthenticator(site: Site, options: { counts?: boolean } = {}): Authenticator {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const id = randomBytes(32).toString('base64url');
  return makeAuthenticator(site, { id, publicKey, privateKey, counter: options.counts === false ? -1 : 0 });
}

interface Device {
  id: string;
  publicKey: KeyObject;
  privateKey: KeyObject;
  /** -1: does not count. */
  counter: number;
  userHandle?: string;
}

function makeAuthenticator(site: Site, device: Device): Authenticator {
  const count = (lies: Lies): number => {
    if (device.counter >= 0) device.counter += 1;
    return lies.counter ?? Math.max(0, device.counter);
  };
  return {
    credentialId: device.id,
    create(options, lies = {}) {
      device.userHandle = options.user.id;
      const id = lies.credentialId ?? device.id;
      const attested = Buffer.concat([
        Buffer.alloc(16),
        uint16(Buffer.from(id, 'base64url').length),
        Buffer.from(id, 'base64url'),
        toCose(device.publicKey),
      ]);
      const authData = Buffer.concat([
        authenticatorData(site, lies, { count: count(lies), at: true }),
        attested,
      ]);
      const attestationObject = encodeCbor(
        new Map<Cbor, Cbor>([
          ['fmt', lies.fmt ?? 'none'],
          ['attStmt', lies.attStmt ?? new Map()],
          ['authData', authData],
        ]),
      );
      return toCredential(id, {
        clientDataJSON: clientData(site, { type: 'webauthn.create', ...options }, lies).toString('base64url'),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['internal'],
      });
    },
    get(options, lies = {}) {
      const client = clientData(site, { type: 'webauthn.get', ...options }, lies);
      const data = authenticatorData(site, lies, { count: count(lies), at: false });
      const strange = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const key = lies.strangeKey === true ? strange.privateKey : device.privateKey;
      const signature = sign('sha256', Buffer.concat([data, sha256(client)]), key);
      return toCredential(lies.credentialId ?? device.id, {
        clientDataJSON: client.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: signature.toString('base64url'),
        userHandle: lies.userHandle ?? device.userHandle,
      });
    },
    copy: () => makeAuthenticator(site, { ...device }),
  };
}

function toCredential(id: string, response: Record<string, unknown>): Record<string, unknown> {
  return {
    id,
    rawId: id,
    type: 'public-key',
    response,
    authenticatorAttachment: 'platform',
    clientExtensionResults: {},
  };
}

function clientData(site: Site, options: { type: string; challenge: string }, lies: Lies): Buffer {
  return Buffer.from(
    JSON.stringify({
      type: lies.type ?? options.type,
      challenge: lies.challenge ?? options.challenge,
      origin: lies.origin ?? site.origin,
      crossOrigin: lies.crossOrigin ?? false,
    }),
  );
}

function authenticatorData(site: Site, lies: Lies, made: { count: number; at: boolean }): Buffer {
  const [present, verified, attested] = [1, lies.unverified === true ? 0 : 4, made.at ? 64 : 0];
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(made.count);
  const flags = Buffer.of(present | verified | attested);
  return Buffer.concat([sha256(Buffer.from(lies.rpId ?? site.rpId)), flags, counter]);
}

function toCose(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return encodeCbor(
    new Map<Cbor, Cbor>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(x, 'base64url')],
      [-3, Buffer.from(y, 'base64url')],
    ]),
  );
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

type Cbor = number | string | Buffer | Cbor[] | Map<Cbor, Cbor>;

/** As much of CBOR (RFC 8949) as passkeys are made of. */
export function encodeCbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(encodeCbor)]);
  const entries = [...value].flatMap(([key, content]) => [encodeCbor(key), encodeCbor(content)]);
  return Buffer.concat([head(5, value.size), ...entries]);
}

function head(major: number, size: number): Buffer {
  if (size < 24) return Buffer.of((major << 5) | size);
  if (size < 256) return Buffer.of((major << 5) | 24, size);
  return Buffer.concat([Buffer.of((major << 5) | 25), uint16(size)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
