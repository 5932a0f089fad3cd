import { createHmac, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { useProof } from '../../server/auth/used-proofs.ts';
import { auditRows, call, clientTokens, createClient, token } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

interface Pair {
  publicKey: CryptoKey;
  privateKey: CryptoKey;
}

const make = (alg = 'ES256'): Promise<Pair> => generateKeyPair(alg, { extractable: true });
const publicOf = async (pair: Pair, more: JWK = {}): Promise<JWK> => ({
  ...(await exportJWK(pair.publicKey)),
  ...more,
});

describe('private_key_jwt', () => {
  let gateway: Gateway;
  let pair: Pair;
  let clientId: string;
  let id: string;
  beforeEach(async () => {
    // as many tries as a test needs
    gateway = await startGateway({ env: { AUTH_FAILURE_LIMIT: '1000' } });
    pair = await make();
    ({ clientId, id } = await register([await publicOf(pair, { kid: 'one' })]));
  });
  afterEach(() => gateway.close());

  const register = (keys: JWK[]): ReturnType<typeof createClient> =>
    createClient(gateway, { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys } });
  const now = (): number => Math.floor(gateway.clock() / 1_000);
  const claims = (): Record<string, unknown> => ({
    iss: clientId,
    sub: clientId,
    aud: gateway.url,
    exp: now() + 60,
    iat: now(),
    jti: randomUUID(),
  });
  const sign = (
    change: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key: CryptoKey | Uint8Array = pair.privateKey,
  ): Promise<string> =>
    new SignJWT({ ...claims(), ...change })
      .setProtectedHeader({ alg: 'ES256', kid: 'one', ...header })
      .sign(key);
  const ask = (client_assertion: string, more: Record<string, string> = {}): Promise<Answer> =>
    call(gateway, '/oauth/token', {
      form: {
        grant_type: 'client_credentials',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion,
        ...more,
      },
    });
  const outcomeOf = (answer: Answer): unknown[] => [answer.status, answer.body['error']];
  const REFUSED = [401, 'invalid_client'];

  it('gets tokens, revokes and introspects; there is no secret to be stolen', async () => {
    const answer = await ask(await sign());
    const secrets = await gateway.db.sql('SELECT 1 FROM client_secrets WHERE oauth_client_id = $1', [id]);
    const rotated = await call(gateway, `/api/v1/admin/oauth-clients/${id}/secrets`, {
      json: {},
      key: ADMIN_KEY,
    });
    expect([answer.status, answer.body['token_type']]).to.deep.equal([200, 'Bearer']);
    expect([secrets.length, rotated.status]).to.deep.equal([0, 400]);
  });

  it('takes the token endpoint as audience too, and ES256, Ed25519, PS256 and RS256 keys', async () => {
    const outcomes = [(await ask(await sign({ aud: `${gateway.url}/oauth/token` }))).status];
    for (const alg of ['Ed25519', 'EdDSA', 'PS256', 'RS256']) {
      const other = await make(alg);
      const client = await register([await publicOf(other, { alg })]);
      const change = { iss: client.clientId, sub: client.clientId };
      outcomes.push((await ask(await sign(change, { alg, kid: undefined }, other.privateKey))).status);
    }
    expect(outcomes).to.deep.equal([200, 200, 200, 200, 200]);
  });

  it('[S45] of 20 parallel uses of one assertion exactly one counts', async () => {
    const assertion = await sign();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(assertion)));
    const rows = await auditRows(gateway, 'oauth.token');
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    expect(rows).to.have.length(1);
  });

  it('[S45] reading first and writing afterwards would let several through: the variant is caught', async () => {
    const { sql } = gateway.db;
    const jti = randomUUID();
    const readThenWrite = async (): Promise<boolean> => {
      const [seen] = await sql('SELECT 1 FROM used_proofs WHERE hash = $1', [Buffer.from(jti)]);
      if (seen !== undefined) return false;
      await sql(`INSERT INTO used_proofs VALUES (1, $1, now()) ON CONFLICT DO NOTHING`, [Buffer.from(jti)]);
      return true;
    };
    const proof = {
      tenantId: 1,
      purpose: 'assertion',
      of: clientId,
      jti,
      until: Date.now() + 1_000,
    } as const;
    const holed = await Promise.all(Array.from({ length: 20 }, readThenWrite));
    const ours = await Promise.all(Array.from({ length: 20 }, () => useProof(sql, proof)));
    expect(holed.filter(Boolean).length).to.be.above(1);
    expect(ours.filter(Boolean)).to.have.length(1);
  });

  it('[S45] a jti is one client’s: another may have the same', async () => {
    const jti = randomUUID();
    const other = await register([await publicOf(pair)]);
    const change = { iss: other.clientId, sub: other.clientId, jti };
    const statuses = [
      (await ask(await sign({ jti }))).status,
      (await ask(await sign(change, { kid: undefined }))).status,
      (await ask(await sign({ jti }))).status,
    ];
    expect(statuses).to.deep.equal([200, 200, 401]);
  });

  const wrong: [string, () => Record<string, unknown>][] = [
    ['another audience', () => ({ aud: 'https://other.example' })],
    ['an audience among others', () => ({ aud: [gateway.url, 'https://other.example'] })],
    ['no audience', () => ({ aud: undefined })],
    ['another subject', () => ({ sub: 'slc_1_aaaaaaaaaaaaaaaaaaaaaa' })],
    ['a life of more than five minutes', () => ({ exp: now() + 600 })],
    ['no end', () => ({ exp: undefined })],
    ['an end that is past', () => ({ exp: now() - 30 })],
    ['a beginning to come', () => ({ nbf: now() + 60 })],
    ['an issue to come', () => ({ iat: now() + 60 })],
    ['no jti', () => ({ jti: undefined })],
    ['an empty jti', () => ({ jti: '' })],
  ];
  for (const [what, change] of wrong) {
    it(`[S45] an assertion with ${what} is refused`, async () => {
      expect(outcomeOf(await ask(await sign(change())))).to.deep.equal(REFUSED);
    });
  }

  it('[S45] [S1] [S2] [S4] another key, alg none, HS256 and keys in the header are refused', async () => {
    const own = await make();
    const jwk = await publicOf(own);
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signingInput = `${encode({ alg: 'HS256', kid: 'one' })}.${encode(claims())}`;
    const publicText = JSON.stringify(await publicOf(pair));
    const assertions = [
      await sign({}, {}, own.privateKey),
      await sign({}, { kid: 'two' }),
      await sign({}, { jwk, kid: undefined }, own.privateKey),
      await sign({}, { jku: `${gateway.url}/.well-known/jwks.json` }),
      await sign({}, { typ: 'at+jwt' }),
      await sign({}, { typ: 'dpop+jwt' }),
      `${encode({ alg: 'none' })}.${encode(claims())}.`,
      `${signingInput}.${createHmac('sha256', publicText).update(signingInput).digest('base64url')}`,
    ];
    for (const assertion of assertions) expect(outcomeOf(await ask(assertion))).to.deep.equal(REFUSED);
  });

  it('[S8] an access token of ours is no assertion, and an assertion no access token', async () => {
    const { access } = await clientTokens(gateway, await createClient(gateway));
    const used = await ask(access);
    const bearer = await call(gateway, '/auth/me', { bearer: await sign() });
    expect([used.status, bearer.status]).to.deep.equal([401, 401]);
  });

  it('[S42] a client has one method: a secret where a key is registered is refused, and the reverse', async () => {
    const bySecret = await createClient(gateway);
    const asKey = await ask(await sign({ iss: bySecret.clientId, sub: bySecret.clientId }));
    const asSecret = await token(gateway, { clientId, secret: 'scs_x' });
    const basicOnly = await createClient(gateway, { token_endpoint_auth_method: 'client_secret_basic' });
    const inBody = await token(gateway, basicOnly);
    const inHeader = await call(gateway, '/oauth/token', {
      form: { grant_type: 'client_credentials' },
      headers: { authorization: `Basic ${btoa(`${basicOnly.clientId}:${basicOnly.secret}`)}` },
    });
    expect([asKey, asSecret, inBody].map(outcomeOf)).to.deep.equal([REFUSED, REFUSED, REFUSED]);
    expect(inHeader.status).to.equal(200);
  });

  it('[S42] two mechanisms, half an assertion and another client_id are refused', async () => {
    const both = await ask(await sign(), { client_secret: 'x', client_id: clientId });
    const withBasic = await call(gateway, '/oauth/token', {
      form: {
        grant_type: 'client_credentials',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await sign(),
      },
      headers: { authorization: `Basic ${btoa(`${clientId}:x`)}` },
    });
    const untyped = await ask(await sign(), { client_assertion_type: 'urn:other' });
    const other = await ask(await sign(), { client_id: 'slc_1_aaaaaaaaaaaaaaaaaaaaaa' });
    const outcomes = [both, withBasic, untyped, other].map(outcomeOf);
    expect(outcomes).to.deep.equal(Array.from({ length: 4 }, () => [400, 'invalid_request']));
  });

  it('[S43] an unknown client and a wrong key get the same answer for the same work', async () => {
    const own = await make();
    const unknown = { iss: 'slc_1_aaaaaaaaaaaaaaaaaaaaaa', sub: 'slc_1_aaaaaaaaaaaaaaaaaaaaaa' };
    const answers = [
      await ask(await sign({}, {}, own.privateKey)),
      await ask(await sign(unknown)),
      await ask(await sign({ iss: 'nobody', sub: 'nobody' })),
    ];
    const rows = await auditRows(gateway, 'oauth.client_authentication');
    const shapes = answers.map((answer) => JSON.stringify([answer.status, answer.text]));
    expect(new Set(shapes).size).to.equal(1);
    expect(rows.map((row) => (row.details as { fault?: string }).fault)).to.deep.equal([
      'signature',
      'signature',
      'signature',
    ]);
  });

  it('[S44] two keys are valid in the overlap, a removed one is dead at once', async () => {
    const next = await make();
    const keys = [await publicOf(pair, { kid: 'one' }), await publicOf(next, { kid: 'two' })];
    const patch = (list: JWK[]): Promise<Answer> =>
      call(gateway, `/api/v1/admin/oauth-clients/${id}`, {
        method: 'PATCH',
        json: { jwks: { keys: list } },
        key: ADMIN_KEY,
      });
    const both = async (): Promise<number[]> => [
      (await ask(await sign())).status,
      (await ask(await sign({}, { kid: 'two' }, next.privateKey))).status,
    ];
    expect((await patch(keys)).status).to.equal(200);
    const during = await both();
    await patch(keys.slice(1));
    expect([during, await both()]).to.deep.equal([
      [200, 200],
      [401, 200],
    ]);
  });

  it('[S44] a client that turns to keys has lost its secrets, also when it turns back', async () => {
    const turning = await createClient(gateway);
    const patch = (json: Record<string, unknown>): Promise<Answer> =>
      call(gateway, `/api/v1/admin/oauth-clients/${turning.id}`, { method: 'PATCH', json, key: ADMIN_KEY });
    const before = await token(gateway, turning);
    const jwks = { keys: [await publicOf(pair)] };
    const answers = [
      await patch({ token_endpoint_auth_method: 'private_key_jwt' }),
      await patch({ token_endpoint_auth_method: 'private_key_jwt', jwks }),
      await patch({ token_endpoint_auth_method: null }),
      await patch({ token_endpoint_auth_method: null, jwks: null }),
    ];
    expect(before.status).to.equal(200);
    expect(answers.map(({ status }) => status)).to.deep.equal([400, 200, 400, 200]);
    expect(outcomeOf(await token(gateway, turning))).to.deep.equal(REFUSED);
    const path = `/api/v1/admin/oauth-clients/${turning.id}/secrets`;
    const { body } = await call(gateway, path, { json: {}, key: ADMIN_KEY });
    const renewed = { clientId: turning.clientId, secret: String(body['client_secret']) };
    expect((await token(gateway, renewed)).status).to.equal(200);
  });

  it('[S47] an assertion from elsewhere than the allow-list says is refused', async () => {
    const patch = { method: 'PATCH', json: { ipAllowList: ['10.0.0.0/8'] }, key: ADMIN_KEY };
    await call(gateway, `/api/v1/admin/oauth-clients/${id}`, patch);
    expect(outcomeOf(await ask(await sign()))).to.deep.equal([400, 'unauthorized_client']);
  });

  it('[S68] [S23] keys are given, not fetched, and private ones are refused', async () => {
    const registerAs = (more: Record<string, unknown>): Promise<Answer> =>
      call(gateway, '/api/v1/admin/oauth-clients', {
        json: { name: 'x', token_endpoint_auth_method: 'private_key_jwt', ...more },
        key: ADMIN_KEY,
      });
    const good = await publicOf(pair);
    const rsa = await generateKeyPair('RS256', { extractable: true });
    const refused = [
      await registerAs({ jwks_uri: 'http://169.254.169.254/' }),
      await registerAs({}),
      await registerAs({ jwks: { keys: [] } }),
      await registerAs({ jwks: { keys: [await exportJWK(pair.privateKey)] } }),
      await registerAs({ jwks: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } }),
      await registerAs({ jwks: { keys: [{ ...good, alg: 'HS256' }] } }),
      await registerAs({ jwks: { keys: [{ ...good, x: good.y }] } }),
      await registerAs({ jwks: { keys: [await exportJWK(rsa.publicKey)] } }),
      await registerAs({ jwks: { keys: [good, good] } }),
      await registerAs({ jwks: { keys: [good] }, token_endpoint_auth_method: 'client_secret_post' }),
    ];
    const taken = await registerAs({
      jwks: { keys: [{ ...good, x5u: 'http://169.254.169.254/', jku: 'http://169.254.169.254/' }] },
    });
    expect(refused.map(({ status }) => status)).to.deep.equal(refused.map(() => 400));
    expect([taken.status, taken.text.includes('169.254')]).to.deep.equal([201, false]);
  });
});
