import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { expect } from 'chai';
import { createMachineSession } from '../../sdk/index.ts';
import { privateKeyJwt } from '../../sdk/private-key.ts';
import { createClient } from '../auth/support/client.ts';
import { startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';

interface Pair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

const ec = (): Pair => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = (modulusLength = 2_048): Pair => generateKeyPairSync('rsa', { modulusLength });
const pemOf = ({ privateKey }: Pair, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8'): string =>
  privateKey.export({ format: 'pem', type } as { format: 'pem'; type: 'pkcs8' }).toString();
const jwkOf = ({ privateKey }: Pair, more: object = {}): string =>
  JSON.stringify({ ...privateKey.export({ format: 'jwk' }), ...more });

describe('sdk: a machine that proves itself by a key, on the real gateway', () => {
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway({ env: { AUTH_FAILURE_LIMIT: '1000' } });
  });
  after(() => gateway.close());

  async function register({ publicKey }: Pair, more: object = {}): Promise<string> {
    const keys = [{ ...publicKey.export({ format: 'jwk' }), ...more }];
    const client = { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys } };
    return (await createClient(gateway, client)).clientId;
  }
  const session = (clientId: string, key: string, more: { keyId?: string; off?: number } = {}) =>
    createMachineSession({
      baseUrl: gateway.url,
      clientId,
      clientAssertion: privateKeyJwt(key, more.keyId === undefined ? {} : { keyId: more.keyId }),
      now: () => gateway.clock() + (more.off ?? 0),
    });

  const p256 = ec();
  const ed = generateKeyPairSync('ed25519');
  const big = rsa();
  const cases: [string, Pair, object, string][] = [
    ['PEM, EC P-256', p256, {}, pemOf(p256)],
    ['PEM as openssl ecparam writes it', p256, {}, pemOf(p256, 'sec1')],
    ['PEM, Ed25519', ed, {}, pemOf(ed)],
    ['PEM, RSA, for PS256', big, { alg: 'PS256' }, pemOf(big, 'pkcs1')],
    ['JWK, EC P-256, by its kid', p256, { kid: 'one' }, jwkOf(p256, { kid: 'one' })],
    ['JWK Set of one, RSA, for RS256', big, { alg: 'RS256' }, `{"keys":[${jwkOf(big, { alg: 'RS256' })}]}`],
  ];
  for (const [name, pair, registered, key] of cases)
    it(`takes ${name}`, async () => {
      const machine = session(await register(pair, registered), key);
      const me = await machine.request<{ user: { kind: string } }>('GET', '/auth/me');
      expect(me.user.kind).to.equal('client');
      // an assertion counts once: each token has its own
      const tokens = [await machine.getAccessToken(), await machine.getAccessToken({ forceRefresh: true })];
      expect(new Set(tokens).size).to.equal(2);
    });

  it('stands a clock that is two minutes ahead, or behind', async () => {
    const clientId = await register(p256);
    for (const off of [-120_000, 120_000])
      expect(await session(clientId, pemOf(p256), { off }).getAccessToken()).to.be.a('string');
  });

  it('is refused with a key that is not registered, a kid that is not, and for another gateway', async () => {
    const clientId = await register(p256, { kid: 'one' });
    const elsewhere = createMachineSession({
      baseUrl: gateway.url,
      clientId,
      clientAssertion: privateKeyJwt(pemOf(p256)),
      audience: 'https://another.example',
      now: gateway.clock,
    });
    const machines = [
      session(clientId, pemOf(ec())),
      session(clientId, pemOf(p256), { keyId: 'two' }),
      elsewhere,
    ];
    for (const machine of machines) {
      const error: unknown = await machine.getAccessToken().catch((reason: unknown) => reason);
      expect(error).to.include({ status: 401, code: 'invalid_client' });
    }
    expect(await session(clientId, pemOf(p256), { keyId: 'one' }).getAccessToken()).to.be.a('string');
  });

  it('the address the gateway is known by may be given', async () => {
    const machine = createMachineSession({
      baseUrl: gateway.url.replace('127.0.0.1', 'localhost'),
      clientId: await register(p256),
      clientAssertion: privateKeyJwt(pemOf(p256)),
      audience: gateway.url,
      now: gateway.clock,
    });
    expect(await machine.getAccessToken()).to.be.a('string');
  });
});

describe('sdk: a private key that cannot be used says what to do', () => {
  const pair = ec();
  const publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const locked = pair.privateKey
    .export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' })
    .toString();
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const cases: [string, string, RegExp][] = [
    ['nothing', '', /neither PEM .* nor a JWK/],
    ['a client secret', 'sls_1_abcdef', /neither PEM .* nor a JWK/],
    ['a public key', publicPem, /is a public key: give the private key/],
    ['a public JWK', JSON.stringify(pair.publicKey.export({ format: 'jwk' })), /public key .*no "d"/],
    ['a passphrase', locked, /passphrase.*openssl pkey -in/],
    [
      'a key of SSH',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END',
      /key of SSH.*openssl genpkey/,
    ],
    ['half a PEM', pemOf(pair).slice(0, 90), /is the file whole/],
    ['half a JWK', '{"kty":"EC"', /is not JSON/],
    ['a JWK without its curve', '{"kty":"EC","d":"AA"}', /member is missing/],
    ['a shared secret', '{"kty":"oct","k":"AAAA"}', /shared secret/],
    ['two keys', `{"keys":[${jwkOf(pair)},${jwkOf(ec())}]}`, /holds 2 keys/],
    ['another curve', pemOf(p384), /ec secp384r1, .*use EC P-256 \(openssl genpkey/],
    ['a short RSA key', pemOf(rsa(1_024)), /RSA of 1024 bits/],
    ['an alg that is not its own', jwkOf(pair, { alg: 'RS256' }), /its alg is ES256/],
  ];
  for (const [name, key, words] of cases)
    it(name, () => {
      expect(() => privateKeyJwt(key))
        .to.throw(words)
        .with.property('code', 'invalid_key');
    });

  it('no error shows any of the key', () => {
    for (const [, key] of cases)
      try {
        privateKeyJwt(key);
      } catch (error) {
        for (const secret of [pemOf(pair), jwkOf(pair)].flatMap((text) => text.match(/[\w+/-]{30,}/g) ?? []))
          expect((error as Error).message).to.not.contain(secret);
      }
  });
});
