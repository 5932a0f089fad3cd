import { createHash, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { SignJWT, calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { call, createClient, token } from './support/client.ts';
import type { Answer, Client } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

interface Key {
  privateKey: CryptoKey;
  jwk: JWK;
  jkt: string;
}

async function makeKey(): Promise<Key> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(publicKey);
  return { privateKey, jwk, jkt: await calculateJwkThumbprint(jwk) };
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

describe('DPoP', () => {
  let gateway: Gateway;
  let client: Client;
  let key: Key;
  let nonce: string;
  beforeEach(async () => {
    gateway = await startGateway({ env: { AUTH_FAILURE_LIMIT: '1000' } });
    client = await createClient(gateway);
    key = await makeKey();
    nonce = (await ask(await prove({ nonce: undefined }))).headers.get('dpop-nonce') ?? '';
  });
  afterEach(() => gateway.close());

  const now = (): number => Math.floor(gateway.clock() / 1_000);
  const prove = (
    change: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    by: Key = key,
  ): Promise<string> =>
    new SignJWT({
      jti: randomUUID(),
      htm: 'POST',
      htu: `${gateway.url}/oauth/token`,
      iat: now(),
      nonce,
      ...change,
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: by.jwk, ...header })
      .sign(by.privateKey);
  const ask = (proof: string, extra: Record<string, string> = {}): Promise<Answer> =>
    call(gateway, '/oauth/token', {
      form: {
        grant_type: 'client_credentials',
        client_id: client.clientId,
        client_secret: client.secret,
        ...extra,
      },
      headers: { dpop: proof },
    });
  const boundTo = async (by: Key = key): Promise<{ access: string; refresh: string }> => {
    const { body } = await ask(await prove({}, {}, by));
    return { access: String(body['access_token']), refresh: String(body['refresh_token']) };
  };
  const proveUse = (access: string, change: Record<string, unknown> = {}, by: Key = key): Promise<string> =>
    prove({ htm: 'GET', htu: `${gateway.url}/auth/me`, ath: hashOf(access), ...change }, {}, by);
  const use = (access: string, proof: string, scheme = 'DPoP'): Promise<Answer> =>
    call(gateway, '/auth/me', { headers: { authorization: `${scheme} ${access}`, dpop: proof } });
  const outcomeOf = (answer: Answer): unknown[] => [
    answer.status,
    answer.body['error'] ?? answer.body['code'],
  ];

  it('binds a token to a key: with a proof it is taken, and says so', async () => {
    const answer = await ask(await prove());
    const access = String(answer.body['access_token']);
    const used = await use(access, await proveUse(access));
    expect(answer.body['token_type']).to.equal('DPoP');
    expect(decodeJwt(access)['cnf']).to.deep.equal({ jkt: key.jkt });
    expect(used.status).to.equal(200);
  });

  it('[S46] a bound token is worth nothing as a bearer token, nor with a proof of another key', async () => {
    const { access } = await boundTo();
    const other = await makeKey();
    const bearer = await call(gateway, '/auth/me', { bearer: access });
    const bearerWithProof = await use(access, await proveUse(access), 'Bearer');
    const swapped = await use(access, await proveUse(access, {}, other));
    expect([bearer, bearerWithProof, swapped].map(({ status }) => status)).to.deep.equal([401, 401, 401]);
    expect(bearer.headers.get('www-authenticate')).to.match(/^DPoP algs="ES256/);
  });

  it('[S46] a token that is bound to no key is refused with the DPoP scheme', async () => {
    const { body } = await token(gateway, client);
    const access = String(body['access_token']);
    expect((await use(access, await proveUse(access))).status).to.equal(401);
    expect((await call(gateway, '/auth/me', { bearer: access })).status).to.equal(200);
  });

  it('[S46] of 20 parallel uses of one proof exactly one counts, at the token endpoint and at a route', async () => {
    const { access } = await boundTo();
    const [forToken, forUse] = [await prove(), await proveUse(access)];
    const grants = await Promise.all(Array.from({ length: 20 }, () => ask(forToken)));
    const uses = await Promise.all(Array.from({ length: 20 }, () => use(access, forUse)));
    const right = (answers: Answer[]): number => answers.filter(({ status }) => status === 200).length;
    expect([right(grants), right(uses)]).to.deep.equal([1, 1]);
  });

  it('[S46] a proof counts once, not once in each tenant', async () => {
    const tenant = await call(gateway, '/api/v1/admin/tenants', { json: { name: 'Second' }, key: ADMIN_KEY });
    const { id: tenantId } = tenant.body['tenant'] as { id: number };
    const proof = await prove();
    const first = await ask(proof);
    client = await createClient(gateway, { tenantId, partitions: [] });
    expect([first.status, outcomeOf(await ask(proof))]).to.deep.equal([200, [400, 'invalid_dpop_proof']]);
    expect((await ask(await prove())).status).to.equal(200);
  });

  const wrong: [string, () => Record<string, unknown>][] = [
    ['another method', () => ({ htm: 'PUT' })],
    ['another URL', () => ({ htu: `${gateway.url}/oauth/revoke` })],
    ['another host', () => ({ htu: 'https://other.example/oauth/token' })],
    ['no URL', () => ({ htu: undefined })],
    ['an age of more than a minute', () => ({ iat: now() - 90 })],
    ['a time to come', () => ({ iat: now() + 60 })],
    ['no time', () => ({ iat: undefined })],
    ['no jti', () => ({ jti: undefined })],
    ['the hash of a token that is not there', () => ({ ath: hashOf('x') })],
  ];
  for (const [what, change] of wrong) {
    it(`[S46] a proof with ${what} is refused at the token endpoint`, async () => {
      expect(outcomeOf(await ask(await prove(change())))).to.deep.equal([400, 'invalid_dpop_proof']);
    });
  }

  it('[S46] at a route a proof is of this token, this method and this URL', async () => {
    const { access } = await boundTo();
    const answers = [
      await use(access, await proveUse(access, { ath: undefined })),
      await use(access, await proveUse(access, { ath: hashOf('another') })),
      await use(access, await proveUse(access, { htm: 'POST' })),
      await use(access, await proveUse(access, { htu: `${gateway.url}/auth/permissions` })),
      await use(access, 'no proof at all'),
      await use(access, `${await proveUse(access)}, ${await proveUse(access)}`),
    ];
    expect(answers.map(outcomeOf)).to.deep.equal(answers.map(() => [401, 'invalid_dpop_proof']));
    const query = await proveUse(access, { htu: `${gateway.url}/auth/me?x=1#y` });
    expect((await use(access, query)).status).to.equal(200);
  });

  it('[S46] [S32] the URL is the configured one, whatever the Host header says', async () => {
    const { access } = await boundTo();
    const proof = await proveUse(access, { htu: 'http://evil.example/auth/me' });
    const headers = { authorization: `DPoP ${access}`, dpop: proof, 'x-forwarded-host': 'evil.example' };
    expect((await call(gateway, '/auth/me', { headers })).status).to.equal(401);
  });

  it('[S46] without our nonce, with another or an old one: use_dpop_nonce, and the one to take', async () => {
    const { access } = await boundTo();
    const missing = await ask(await prove({ nonce: undefined }));
    const foreign = await ask(await prove({ nonce: 'mine' }));
    const atRoute = await use(access, await proveUse(access, { nonce: undefined }));
    gateway.clock.advance(5 * 60_000);
    const old = await ask(await prove());
    expect([missing, foreign, old].map(outcomeOf)).to.deep.equal(
      Array.from({ length: 3 }, () => [400, 'use_dpop_nonce']),
    );
    expect(outcomeOf(atRoute)).to.deep.equal([401, 'use_dpop_nonce']);
    expect(atRoute.headers.get('www-authenticate')).to.contain('error="use_dpop_nonce"');
    expect(atRoute.headers.get('dpop-nonce')).to.equal(nonce);
    const fresh = old.headers.get('dpop-nonce');
    expect((await ask(await prove({ nonce: fresh }))).status).to.equal(200);
  });

  it('[S46] [S1] [S4] other algorithms, types, headers and private keys are refused', async () => {
    const other = await makeKey();
    const symmetric = await new SignJWT({ jti: 'x', htm: 'POST', htu: `${gateway.url}/oauth/token`, nonce })
      .setIssuedAt(now())
      .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'c2VjcmV0' } as JWK })
      .sign(new TextEncoder().encode('secret'));
    const proofs = [
      symmetric,
      await prove({}, { typ: 'JWT' }),
      await prove({}, { typ: 'at+jwt' }),
      await prove({}, { jwk: undefined }),
      await prove({}, { jwk: other.jwk }),
      await prove({}, { kid: 'x' }),
      await prove({}, { jku: 'https://other.example/jwks.json' }),
      await prove({}, { jwk: await exportJWK(key.privateKey) }),
      await prove({}, { jwk: { ...key.jwk, x: 'AAAA' } }),
      (await prove()).replace(/\.[^.]+$/, '.'),
    ];
    for (const proof of proofs)
      expect(outcomeOf(await ask(proof))).to.deep.equal([400, 'invalid_dpop_proof']);
  });

  it('[S15] a refresh needs the key that the session is bound to, and none where it is bound to none', async () => {
    const { refresh } = await boundTo();
    const plain = await token(gateway, client);
    const other = await makeKey();
    const renew = async (refresh_token: string, by?: Key): Promise<Answer> => {
      const form = { grant_type: 'refresh_token', refresh_token };
      return by === undefined ? token(gateway, client, form) : ask(await prove({}, {}, by), form);
    };
    const stolen = [await renew(refresh), await renew(refresh, other)];
    const swapped = await renew(String(plain.body['refresh_token']), other);
    const atPeople = await call(gateway, '/auth/refresh', { json: { refresh_token: refresh } });
    const own = await renew(refresh, key);
    expect([...stolen, swapped].map(outcomeOf)).to.deep.equal(
      Array.from({ length: 3 }, () => [400, 'invalid_grant']),
    );
    expect([atPeople.status, own.status, own.body['token_type']]).to.deep.equal([401, 200, 'DPoP']);
  });

  it('a client registered for it gets nothing without a proof', async () => {
    const strict = await createClient(gateway, { dpop_bound_access_tokens: true });
    const without = await token(gateway, strict);
    client = strict;
    const bound = await ask(await prove());
    expect([outcomeOf(without), bound.status]).to.deep.equal([[400, 'invalid_dpop_proof'], 200]);
  });

  it('[S46] logging out takes a bound token with its proof, and neither without one nor with another’s', async () => {
    const { access } = await boundTo();
    const leave = async (proof: string | undefined, scheme = 'DPoP'): Promise<Answer> =>
      call(gateway, '/auth/logout', {
        method: 'POST',
        headers: { authorization: `${scheme} ${access}`, ...(proof === undefined ? {} : { dpop: proof }) },
      });
    const about = { htm: 'POST', htu: `${gateway.url}/auth/logout` };
    const refused = [
      await leave(undefined),
      await leave(await proveUse(access, about), 'Bearer'),
      await leave(await proveUse(access)),
      await leave(await proveUse(access, about, await makeKey())),
    ];
    const stale = await leave(await proveUse(access, { ...about, nonce: undefined }));
    const stands = await use(access, await proveUse(access));
    const left = await leave(await proveUse(access, about));
    const gone = await use(access, await proveUse(access));
    expect(refused.map(outcomeOf)).to.deep.equal(refused.map(() => [401, 'invalid_dpop_proof']));
    expect([outcomeOf(stale), stale.headers.get('dpop-nonce')]).to.deep.equal([
      [401, 'use_dpop_nonce'],
      nonce,
    ]);
    expect([stands, left].map(({ status }) => status)).to.deep.equal([200, 200]);
    expect(outcomeOf(gone)).to.deep.equal([401, 'revoked']);
  });

  it('[S46] logging out everywhere takes the scheme too, and is still for a person at a login of their own', async () => {
    const { access } = await boundTo();
    const about = { htm: 'POST', htu: `${gateway.url}/auth/logout-all` };
    const leave = async (proof: string, scheme: string): Promise<Answer> =>
      call(gateway, '/auth/logout-all', {
        method: 'POST',
        headers: { authorization: `${scheme} ${access}`, dpop: proof },
      });
    const answers = [
      await leave(await proveUse(access, about), 'Bearer'),
      await leave(await proveUse(access, about), 'DPoP'),
    ];
    expect(answers.map(outcomeOf)).to.deep.equal([
      [401, 'invalid_dpop_proof'],
      [403, 'forbidden'],
    ]);
  });

  it('a bound token is revoked and introspected by its client without a proof', async () => {
    const { access } = await boundTo();
    const form = { token: access, client_id: client.clientId, client_secret: client.secret };
    const before = await call(gateway, '/oauth/introspect', { form });
    await call(gateway, '/oauth/revoke', { form });
    const after = await call(gateway, '/oauth/introspect', { form });
    expect(before.body).to.deep.include({ active: true, token_type: 'DPoP', cnf: { jkt: key.jkt } });
    expect(after.body).to.deep.equal({ active: false });
  });

  it('two nodes with one encryption key take each other’s nonces, and no proof twice', async () => {
    const other = await startGateway({ db: gateway.db, clock: gateway.clock });
    const proof = await prove({ htu: `${other.url}/oauth/token` });
    const form = {
      grant_type: 'client_credentials',
      client_id: client.clientId,
      client_secret: client.secret,
    };
    const answers = [
      await call(other, '/oauth/token', { form, headers: { dpop: proof } }),
      await call(other, '/oauth/token', { form, headers: { dpop: proof } }),
    ];
    await other.close();
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 400]);
  });
});
