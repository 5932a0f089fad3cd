import { createHmac, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { CompactSign, SignJWT, generateKeyPair, importJWK } from 'jose';
import type { JWK, JWTPayload } from 'jose';
import { openKeyRing } from '../../server/auth/key-ring.ts';
import { createSecretBox } from '../../server/auth/secret-box.ts';
import { call, clientTokens, createClient } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

type Claims = JWTPayload & Record<string, unknown>;

describe('access tokens', () => {
  let gateway: Gateway;
  let good: string;
  before(async () => {
    gateway = await startGateway();
    good = (await clientTokens(gateway, await createClient(gateway))).access;
  });
  after(() => gateway.close());

  const partsOf = (token: string): [Record<string, unknown>, Claims, string] => {
    const [header = '', payload = '', signature = ''] = token.split('.');
    const read = (part: string): Record<string, unknown> =>
      JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
    return [read(header), read(payload), signature];
  };
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  /** Signs with the gateway's own key: only what is changed is wrong. */
  const sign = async (header: Record<string, unknown>, claims: Claims): Promise<string> => {
    const [own, payload] = partsOf(good);
    const merged = { ...payload, ...claims };
    const bytes = new TextEncoder().encode(JSON.stringify(merged));
    const full = { ...own, ...header } as { alg: string };
    return new CompactSign(bytes)
      .setProtectedHeader(full)
      .sign(gateway.identity.core.keys.signer().key, { crit: { 'x-test': true } });
  };
  const outcome = async (token: string): Promise<string> => {
    const { status, body } = await call(gateway, '/auth/me', { bearer: token });
    return status === 200 ? 'accepted' : String(body['code']);
  };

  it('are accepted when we signed them and nothing is changed', async () => {
    expect([await outcome(good), await outcome(await sign({}, {}))]).to.deep.equal(['accepted', 'accepted']);
    expect(partsOf(good)[0]).to.include({ alg: 'ES256', typ: 'at+jwt' });
    expect(partsOf(good)[1]).to.include.keys(
      'iss',
      'aud',
      'sub',
      'tid',
      'sid',
      'jti',
      'scope',
      'roles',
      'exp',
      'client_id',
    );
  });

  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    it(`[S1] alg "${alg}" is refused`, async () => {
      const [header, payload, signature] = partsOf(good);
      const body = `${encode({ ...header, alg })}.${encode(payload)}`;
      expect([await outcome(`${body}.`), await outcome(`${body}.${signature}`)]).to.deep.equal([
        'invalid_token',
        'invalid_token',
      ]);
    });
  }

  it('[S2] [S3] the public key used as an HS256 secret is refused, in every form it may be taken in', async () => {
    const [header, payload] = partsOf(good);
    const [jwk] = gateway.identity.jwks().keys as [JWK];
    const secrets = [JSON.stringify(jwk), jwk.x!, `${jwk.x!}${jwk.y!}`, 'secret'];
    const body = `${encode({ ...header, alg: 'HS256' })}.${encode(payload)}`;
    const forged = secrets.map((s) => `${body}.${createHmac('sha256', s).update(body).digest('base64url')}`);
    expect(new Set(await Promise.all(forged.map(outcome)))).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S4] keys and extensions named in the header are refused, even with a valid signature', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    const [header, payload] = partsOf(good);
    const { exportJWK } = await import('jose');
    const jwk = await exportJWK(pair.publicKey);
    const own = await new SignJWT(payload)
      .setProtectedHeader({ ...header, alg: 'ES256', jwk })
      .sign(pair.privateKey);
    const ours = await Promise.all(
      [
        { jwk },
        { jku: 'https://evil.example/jwks' },
        { x5u: 'https://evil.example/x' },
        { crit: ['x-test'], 'x-test': 1 },
      ].map((extra) => sign(extra, {})),
    );
    const outcomes = await Promise.all([own, ...ours].map(outcome));
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S2] [S4] the same forgeries pass a verifier that pins nothing: the variant is caught', async () => {
    const { EmbeddedJWK, exportJWK, jwtVerify } = await import('jose');
    const [header, payload] = partsOf(good);
    const secret = JSON.stringify(gateway.identity.jwks().keys[0]);
    const body = `${encode({ ...header, alg: 'HS256' })}.${encode(payload)}`;
    const confused = `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
    const pair = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(pair.publicKey);
    const own = await new SignJWT(payload).setProtectedHeader({ alg: 'ES256', jwk }).sign(pair.privateKey);
    const naive = [await jwtVerify(confused, Buffer.from(secret)), await jwtVerify(own, EmbeddedJWK)];
    expect(naive.map((result) => result.payload.sub)).to.deep.equal([payload.sub, payload.sub]);
    expect([await outcome(confused), await outcome(own)]).to.deep.equal(['invalid_token', 'invalid_token']);
  });

  it('[S5] a storm of unknown kids costs at most two looks at the database', async () => {
    let looks = 0;
    const { db, clock } = gateway;
    const sql: typeof db.sql = (text, values) => {
      looks += text.includes('signing_keys') ? 1 : 0;
      return db.sql(text, values);
    };
    const box = createSecretBox('an encryption key for tests only, 42');
    const ring = await openKeyRing({ db: { ...db, sql }, box, clock, tokenLife: 900 });
    clock.advance(2_000);
    looks = 0;
    const found = await Promise.all(Array.from({ length: 200 }, () => ring.find(randomUUID())));
    expect(found.every((key) => key === undefined)).to.equal(true);
    expect(looks).to.be.within(1, 2);
  });

  for (const kid of [
    '../../etc/passwd',
    "' OR '1'='1",
    '\u0000',
    'a'.repeat(5_000),
    '__proto__',
    'constructor',
    '',
  ]) {
    it(`[S6] kid ${JSON.stringify(kid.slice(0, 20))} is refused`, async () => {
      expect(await outcome(await sign({ kid }, {}))).to.equal('invalid_token');
    });
  }

  it('[S7] another issuer or audience is refused, also within an array', async () => {
    const wrong: Claims[] = [
      { iss: 'https://evil.example' },
      { iss: `${gateway.url}/` },
      { aud: 'other' },
      { aud: ['other', 'sluice'] },
      { aud: ['sluice'] },
      { aud: undefined } as unknown as Claims,
      { iss: undefined } as unknown as Claims,
    ];
    const outcomes = await Promise.all(wrong.map(async (claims) => outcome(await sign({}, claims))));
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S8] another typ is refused, as is a refresh token', async () => {
    const typed = ['JWT', 'rt+jwt', 'dpop+jwt', 'mfa+jwt', 'AT+JWT', 'application/at+jwt', undefined];
    const tokens = await Promise.all(typed.map((typ) => sign({ typ }, {})));
    const { refresh } = await clientTokens(gateway, await createClient(gateway));
    const outcomes = await Promise.all([...tokens, refresh].map(outcome));
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S9] expired, not yet valid or without end is refused; 5 s of skew are allowed, no more', async () => {
    const now = Math.floor(gateway.clock() / 1_000);
    const cases: [Claims, string][] = [
      [{ exp: now - 10 }, 'token_expired'],
      [{ exp: now - 7 }, 'token_expired'],
      [{ nbf: now + 60 }, 'invalid_token'],
      [{ nbf: now + 2 }, 'accepted'],
      [{ exp: undefined } as unknown as Claims, 'invalid_token'],
      [{ exp: 'tomorrow' } as unknown as Claims, 'invalid_token'],
    ];
    const outcomes = await Promise.all(cases.map(async ([claims]) => outcome(await sign({}, claims))));
    expect(outcomes).to.deep.equal(cases.map(([, expected]) => expected));
  });

  it('[S9] a token that was seen before is refused once it has expired', async () => {
    const other = await startGateway();
    const { access } = await clientTokens(other, await createClient(other));
    const before = await call(other, '/auth/me', { bearer: access });
    other.clock.advance(906_000);
    const after = await call(other, '/auth/me', { bearer: access });
    await other.close();
    expect([before.status, after.status, after.body['code']]).to.deep.equal([200, 401, 'token_expired']);
  });

  it('[S9] within the skew a token stays what it is, however often it is shown; then it is refused each time', async () => {
    const other = await startGateway();
    const { access } = await clientTokens(other, await createClient(other));
    const shown = async (): Promise<number[]> => {
      const statuses: number[] = [];
      for (let i = 0; i < 4; i += 1)
        statuses.push((await call(other, '/auth/me', { bearer: access })).status);
      return statuses;
    };
    other.clock.advance(902_000);
    const within = await shown();
    other.clock.advance(10_000);
    const after = await shown();
    await other.close();
    expect([...within, ...after]).to.deep.equal([200, 200, 200, 200, 401, 401, 401, 401]);
  });

  it('refuses a token whose session, subject or tenant is not the signed one of a live session', async () => {
    const changed: Claims[] = [
      { sid: randomUUID() },
      { sub: randomUUID() },
      { tid: 2 },
      { sid: "x' OR 1=1" },
    ];
    const outcomes = await Promise.all(changed.map(async (claims) => outcome(await sign({}, claims))));
    expect(outcomes).to.deep.equal(['revoked', 'invalid_token', 'revoked', 'invalid_token']);
  });

  it('cannot raise its own scope: rights are bounded by the database', async () => {
    const raised = await sign({}, { scope: 'admin sync:read' });
    const { body } = await call(gateway, '/auth/me', { bearer: raised });
    expect(body['scopes']).to.deep.equal(['sync:read']);
  });
});

describe('signing keys', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('[S10] a retiring key is accepted, a retired one is not, and nothing private is published', async () => {
    const { keys } = gateway.identity.core;
    const client = await createClient(gateway);
    const { access } = await clientTokens(gateway, client);
    const old = keys.signer();
    await gateway.identity.core.keys.rotate({ immediately: true });
    const retiring = await call(gateway, '/auth/me', { bearer: access });
    const published = (await call(gateway, '/.well-known/jwks.json')).body as { keys: JWK[] };
    gateway.clock.advance(1_100_000);
    await keys.advance();
    const [payload] = [JSON.parse(Buffer.from(access.split('.')[1]!, 'base64url').toString()) as JWTPayload];
    const long = await new SignJWT({ ...payload, exp: Math.floor(gateway.clock() / 1_000) + 600 })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: old.kid })
      .sign(old.key);
    const retired = await call(gateway, '/auth/me', { bearer: long });
    expect([retiring.status, retired.status, retired.body['code']]).to.deep.equal([
      200,
      401,
      'invalid_token',
    ]);
    expect(published.keys.map((key) => key.kid))
      .to.include(old.kid)
      .and.have.length(2);
    expect(published.keys.some((key) => 'd' in key)).to.equal(false);
  });

  it('a new key is published five minutes before it signs', async () => {
    const { keys } = gateway.identity.core;
    const old = keys.signer().kid;
    await gateway.identity.core.keys.rotate();
    await keys.advance();
    const early = keys.signer().kid;
    gateway.clock.advance(301_000);
    await keys.advance();
    expect([early, keys.jwks().keys.length]).to.deep.equal([old, 2]);
    expect(keys.signer().kid).not.to.equal(old);
  });

  it('[S5] another node takes up a new key without a restart, even if it heard nothing', async () => {
    const other = await startGateway({ db: gateway.db, env: { PUBLIC_URL: gateway.url } });
    gateway.clock.advance(2_000);
    other.clock.advance(2_000);
    await gateway.identity.core.keys.rotate({ immediately: true });
    const { access } = await clientTokens(gateway, await createClient(gateway));
    const { status } = await call(other, '/auth/me', { bearer: access });
    await other.close();
    expect(status).to.equal(200);
  });

  it('two nodes that start on an empty database at once make one key', async () => {
    await gateway.db.sql('DELETE FROM signing_keys');
    const box = createSecretBox('an encryption key for tests only, 42');
    const open = (): ReturnType<typeof openKeyRing> =>
      openKeyRing({ db: gateway.db, box, clock: Date.now, tokenLife: 900 });
    const rings = await Promise.all([open(), open(), open()]);
    expect(new Set(rings.map((ring) => ring.signer().kid)).size).to.equal(1);
  });

  it('[S23] the private key is sealed: another encryption key refuses to start, and says what to do', async () => {
    const [row] = await gateway.db.sql<{ private_jwk: Buffer }>('SELECT private_jwk FROM signing_keys');
    const box = createSecretBox('another key than the one before, 43');
    const failure = await openKeyRing({ db: gateway.db, box, clock: Date.now, tokenLife: 900 }).catch(
      (error: unknown) => error as Error,
    );
    expect(row!.private_jwk.toString('latin1')).not.to.include('"d"');
    expect((failure as Error).message).to.include('CONFIG_ENCRYPTION_KEY');
  });

  it('the published key verifies our tokens with jose alone', async () => {
    const { access } = await clientTokens(gateway, await createClient(gateway));
    const { body } = await call(gateway, '/.well-known/jwks.json');
    const { jwtVerify } = await import('jose');
    const [jwk] = (body as { keys: JWK[] }).keys as [JWK];
    const { payload } = await jwtVerify(access, await importJWK(jwk, 'ES256'), {
      issuer: gateway.url,
      audience: 'sluice',
    });
    expect(payload['tid']).to.equal(1);
  });
});
