import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import { exportJWK, generateKeyPair } from 'jose';
import { createVerifier } from '../../sdk/verify.ts';
import type { Verifier, VerifierOptions } from '../../sdk/verify.ts';
import { ISSUER, SECRET, createIssuer, outcomeOf } from '../auth/support/issuer.ts';
import type { Issuer } from '../auth/support/issuer.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('the verifier for other services', () => {
  let issuer: Issuer;
  let verifier: Verifier;
  const create = (options: Partial<VerifierOptions> = {}): Verifier =>
    createVerifier({ issuer: ISSUER, fetch: issuer.fetch, now: issuer.now, ...options });
  const outcome = (token: unknown, by = verifier): Promise<string> => outcomeOf(by.verify(token as string));
  beforeEach(async () => {
    issuer = await createIssuer();
    verifier = create();
  });

  it('tells who shows a token, in the words of the token', async () => {
    const principal = await verifier.verify(await issuer.sign({ claims: { tid: 7, client_id: 'shop' } }));
    expect(principal).to.include({ tenantId: 7, clientId: 'shop', keyThumbprint: null });
    expect([...principal.scopes]).to.deep.equal(['sync:read', 'sync:write']);
    expect(principal.expiresAt - principal.issuedAt).to.equal(900_000);
  });

  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    it(`[S1] alg "${alg}" is refused`, async () => {
      const [, payload = '', signature = ''] = (await issuer.sign()).split('.');
      const body = `${encode({ alg, typ: 'at+jwt', kid: 'first' })}.${payload}`;
      expect(await Promise.all([outcome(`${body}.`), outcome(`${body}.${signature}`)])).to.deep.equal([
        'invalid_token',
        'invalid_token',
      ]);
    });
  }

  it('[S2] the public key as an HS256 secret is refused, in every form it may be taken in', async () => {
    const [jwk] = issuer.published();
    const [, payload = ''] = (await issuer.sign()).split('.');
    const body = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'first' })}.${payload}`;
    const secrets = [
      JSON.stringify(jwk),
      JSON.stringify({ keys: [jwk] }),
      jwk?.x ?? '',
      `${jwk?.x}${jwk?.y}`,
    ];
    const forged = secrets.map((s) => `${body}.${createHmac('sha256', s).update(body).digest('base64url')}`);
    expect(new Set(await Promise.all(forged.map((token) => outcome(token))))).to.deep.equal(
      new Set(['invalid_token']),
    );
  });

  it('[S2] a key set that turns symmetric keys out is read without them', async () => {
    const oct = { kty: 'oct', kid: 'first', k: Buffer.from(SECRET).toString('base64url') };
    const poisoned = create({ fetch: () => Promise.resolve(Response.json({ keys: [oct] })) });
    const token = await issuer.sign({ header: { alg: 'HS256' }, key: bytes(SECRET) });
    expect(await outcome(token, poisoned)).to.equal('invalid_token');
  });

  it('[S3] an HS256 token at a verifier with keys, and the reverse, are refused', async () => {
    const bySecret = create({ secret: SECRET, audience: 'reports' });
    const withSecret = { header: { alg: 'HS256', kid: undefined }, key: bytes(SECRET) };
    const hs256 = await issuer.sign({ ...withSecret, claims: { aud: 'reports' } });
    const confused = await issuer.sign(withSecret);
    const es256 = await issuer.sign({ claims: { aud: 'reports' } });
    expect(await outcome(hs256, bySecret)).to.equal('accepted');
    expect(await Promise.all([outcome(hs256), outcome(confused), outcome(es256, bySecret)])).to.deep.equal([
      'invalid_token',
      'invalid_token',
      'invalid_token',
    ]);
  });

  it('[S4] keys and extensions that a header names are refused, even with a good signature', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(pair.publicKey);
    const tokens = [
      await issuer.sign({ header: { jwk }, key: pair.privateKey }),
      await issuer.sign({ header: { jwk } }),
      await issuer.sign({ header: { jku: 'https://evil.example/jwks' } }),
      await issuer.sign({ header: { x5u: 'https://evil.example/x' } }),
      await issuer.sign({ header: { x5c: ['AAAA'] } }),
      await issuer.sign({ header: { crit: ['x-test'], 'x-test': 1 } }),
    ];
    const outcomes = await Promise.all(tokens.map((token) => outcome(token)));
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S5] unknown key ids cause one reading in ten seconds, however many come at once', async () => {
    await verifier.verify(await issuer.sign());
    const pair = await generateKeyPair('ES256');
    const unknown = await Promise.all(
      Array.from({ length: 50 }, (_, i) => issuer.sign({ header: { kid: `k${i}` }, key: pair.privateKey })),
    );
    const before = issuer.reads();
    issuer.advance(11_000);
    const storm = await Promise.all(unknown.map((token) => outcome(token)));
    const again = await Promise.all(unknown.map((token) => outcome(token)));
    expect([new Set(storm), new Set(again), issuer.reads() - before]).to.deep.equal([
      new Set(['invalid_token']),
      new Set(['invalid_token']),
      1,
    ]);
  });

  it('[S5] a key that is new is taken up without a restart', async () => {
    await verifier.verify(await issuer.sign());
    const key = await issuer.addKey('second');
    issuer.advance(11_000);
    expect(await outcome(await issuer.sign({ header: { kid: 'second' }, key }))).to.equal('accepted');
  });

  it('[S5] while the keys cannot be read the last ones serve, for an hour; each failure is followed by a pause', async () => {
    await verifier.verify(await issuer.sign());
    issuer.down = true;
    issuer.advance(301_000);
    const before = issuer.reads();
    const outcomes = [await outcome(await issuer.sign()), await outcome(await issuer.sign())];
    expect([...outcomes, issuer.reads() - before]).to.deep.equal(['accepted', 'accepted', 1]);
    issuer.advance(3_600_000);
    expect(await outcome(await issuer.sign())).to.equal('unavailable');
    issuer.down = false;
    issuer.advance(11_000);
    expect(await outcome(await issuer.sign())).to.equal('accepted');
  });

  for (const kid of [
    '../../etc/passwd',
    "x' OR 1=1 --",
    '__proto__',
    'constructor',
    '',
    7,
    null,
    undefined,
  ]) {
    it(`[S6] key id ${JSON.stringify(kid)} is refused`, async () => {
      expect(await outcome(await issuer.sign({ header: { kid } }))).to.equal('invalid_token');
    });
  }

  it('[S7] another issuer, and another, no, or a list as audience, are refused', async () => {
    const changes = [
      { iss: 'https://evil.example' },
      { iss: `${ISSUER}/` },
      { iss: undefined },
      { aud: 'reports' },
      { aud: undefined },
      { aud: ['sluice', 'reports'] },
      { aud: ['sluice'] },
    ];
    const outcomes = await Promise.all(changes.map(async (claims) => outcome(await issuer.sign({ claims }))));
    expect(outcomes).to.deep.equal(changes.map(() => 'invalid_token'));
  });

  it('[S8] a refresh token, an identity token and a proof are no access tokens', async () => {
    const others = await Promise.all(
      ['JWT', 'dpop+jwt', 'jwt', 'mfa+jwt', 'AT+JWT', undefined].map((typ) =>
        issuer.sign({ header: { typ } }),
      ),
    );
    const outcomes = await Promise.all(
      [...others, 'srt_1.abc', 'slk_1.abc', '', 'a.b.c', 'a.b', undefined, 7, {}].map((token) =>
        outcome(token),
      ),
    );
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_token']));
  });

  it('[S9] expired, not yet good, and without an end are refused; 5 s of skew are allowed, no more', async () => {
    const now = Math.floor(issuer.now() / 1_000);
    const cases: [Record<string, unknown>, string][] = [
      [{ exp: now - 10 }, 'token_expired'],
      [{ exp: now - 7 }, 'token_expired'],
      [{ exp: now - 2 }, 'accepted'],
      [{ nbf: now + 60 }, 'invalid_token'],
      [{ nbf: now + 2 }, 'accepted'],
      [{ exp: undefined }, 'invalid_token'],
      [{ exp: 'tomorrow' }, 'invalid_token'],
    ];
    const outcomes = await Promise.all(cases.map(async ([claims]) => outcome(await issuer.sign({ claims }))));
    expect(outcomes).to.deep.equal(cases.map(([, expected]) => expected));
  });

  it('[S9] one that was seen before is refused once it has expired', async () => {
    const token = await issuer.sign();
    const first = await outcome(token);
    issuer.advance(906_000);
    expect([first, await outcome(token), await outcome(token)]).to.deep.equal([
      'accepted',
      'token_expired',
      'token_expired',
    ]);
  });

  it('[S10] a key that is still published is accepted, one that has gone is refused, also for a token seen before', async () => {
    const claims = { exp: Math.floor(issuer.now() / 1_000) + 3_600 };
    const token = await issuer.sign({ claims });
    const old = issuer.published();
    await issuer.addKey('second');
    const retiring = await outcome(token);
    issuer.removeKey('first');
    issuer.advance(301_000);
    expect([old.length, retiring, await outcome(token)]).to.deep.equal([1, 'accepted', 'invalid_token']);
  });

  it("[S11] one service's secret makes no token for another, nor for who checks with keys", async () => {
    const other = 'the secret of the other service, 9876543210';
    const reports = create({ secret: SECRET, audience: 'reports' });
    const billing = create({ secret: other, audience: 'billing' });
    const mint = (secret: string, aud: string): Promise<string> =>
      issuer.sign({ header: { alg: 'HS256', kid: undefined }, claims: { aud }, key: bytes(secret) });
    const own = await outcome(await mint(SECRET, 'reports'), reports);
    const forged = [
      outcome(await mint(SECRET, 'billing'), billing),
      outcome(await mint(SECRET, 'reports'), billing),
      outcome(await mint(other, 'billing'), reports),
      outcome(await mint(SECRET, 'sluice')),
    ];
    expect([own, ...(await Promise.all(forged))]).to.deep.equal([
      'accepted',
      ...forged.map(() => 'invalid_token'),
    ]);
  });

  it('[S11] two services that share a secret have an audience each: a token of one is none of the other', async () => {
    const reports = create({ secret: SECRET, audience: 'reports' });
    const header = { alg: 'HS256', kid: undefined };
    const token = await issuer.sign({ header, claims: { aud: 'billing' }, key: bytes(SECRET) });
    expect(await outcome(token, reports)).to.equal('invalid_token');
  });

  it('[S44] [S11] with the secret before, tokens of both are taken, and of no third', async () => {
    const before = 'the secret of last year, 0123456789abcdef';
    const options = { secret: SECRET, audience: 'reports' };
    const [during, after] = [create({ ...options, previousSecret: before }), create(options)];
    const mint = (secret: string, claims: Record<string, unknown> = {}): Promise<string> =>
      issuer.sign({
        header: { alg: 'HS256', kid: undefined },
        claims: { aud: 'reports', ...claims },
        key: bytes(secret),
      });
    const old = await mint(before);
    expect([await outcome(old, during), await outcome(old, after)]).to.deep.equal([
      'accepted',
      'invalid_token',
    ]);
    expect(await outcome(await mint(SECRET), during)).to.equal('accepted');
    const refused = [
      await mint('a third secret, 0123456789 0123456789'),
      await mint(before, { aud: 'billing' }),
      await issuer.sign({ claims: { aud: 'reports' } }),
    ];
    for (const token of refused) expect(await outcome(token, during)).to.equal('invalid_token');
    expect(await outcome(await mint(before, { exp: 1 }), during)).to.equal('token_expired');
  });

  it('[S46] a token that is bound to a key is taken only with what the proof has shown', async () => {
    const token = await issuer.sign({ claims: { cnf: { jkt: 'thumb' } } });
    expect(await outcome(token)).to.equal('proof_required');
    expect(await outcomeOf(verifier.verify(token, { provedThumbprint: 'other' }))).to.equal('proof_required');
    expect((await verifier.verify(token, { provedThumbprint: 'thumb' })).keyThumbprint).to.equal('thumb');
  });

  it('claims that do not fit are refused, not passed on', async () => {
    const changes = [
      { tid: '1' },
      { tid: -1 },
      { sid: 'x' },
      { sub: undefined },
      { roles: 'admin' },
      { scope: 7 },
    ];
    const outcomes = await Promise.all(changes.map(async (claims) => outcome(await issuer.sign({ claims }))));
    expect(outcomes).to.deep.equal(changes.map(() => 'invalid_token'));
  });

  it('is made for one way of checking alone', () => {
    const make = (options: Partial<VerifierOptions>) => () => create(options);
    expect(make({ secret: SECRET, audience: 'a', jwksUrl: `${ISSUER}/keys` })).to.throw(
      TypeError,
      'not both',
    );
    expect(make({ secret: SECRET })).to.throw(TypeError, 'audience');
    expect(make({ secret: 'short', audience: 'a' })).to.throw(TypeError, '32 bytes');
    expect(make({ previousSecret: SECRET })).to.throw(TypeError, 'previousSecret');
    expect(make({ secret: SECRET, audience: 'a', previousSecret: '' })).to.throw(TypeError, '32 bytes');
    expect(make({ issuer: `${ISSUER}/` })).to.throw(TypeError, 'issuer');
  });
});
