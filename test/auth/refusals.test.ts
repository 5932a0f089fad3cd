import { createHash, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { auditRows, call, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Client } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;

describe('[S61] refusals that change nothing', () => {
  let gateway: Gateway;
  beforeEach(async () => {
    gateway = await startGateway({ env: { TRUST_PROXY: 'true', PROOF_OF_WORK_AFTER: '2' } });
  });
  afterEach(() => gateway.close());

  const noted = async (action: string): Promise<Record<string, unknown>[]> => {
    await gateway.identity.core.refusals.close();
    const rows = await auditRows(gateway, action);
    return rows
      .filter(({ success }) => !success)
      .map(({ code, principal, details }) => ({ code, principal, details }));
  };
  const me = (bearer: string, from = '192.0.2.1'): Promise<Answer> =>
    call(gateway, '/auth/me', { bearer, headers: { 'x-forwarded-for': from } });
  const proofsOf = async (client: Client): Promise<(claims: object) => Promise<string>> => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const prove = (claims: object): Promise<string> =>
      new SignJWT({ jti: randomUUID(), iat: Math.floor(gateway.clock() / 1_000), ...claims })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
        .sign(privateKey);
    const atToken = { htm: 'POST', htu: `${gateway.url}/oauth/token` };
    const nonce = (await ask(client, await prove(atToken))).headers.get('dpop-nonce');
    return (claims) => prove({ ...atToken, nonce, ...claims });
  };
  const ask = (client: Pick<Client, 'clientId' | 'secret'>, dpop: string): Promise<Answer> =>
    call(gateway, '/oauth/token', {
      form: { grant_type: 'client_credentials', client_id: client.clientId, client_secret: client.secret },
      headers: { dpop },
    });

  it('leave one row a minute for each person and network: a token after its session’s end', async () => {
    const { id, username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    await call(gateway, '/auth/logout', { json: {}, bearer: access });
    for (const from of ['192.0.2.1', '192.0.2.1', '198.51.100.1'])
      expect((await me(access, from)).status).to.equal(401);
    const rows = await noted('token.refused');
    expect(rows.map(({ code, principal }) => [code, principal])).to.deep.equal(
      Array(2).fill(['revoked', `user:${id}`]),
    );
    gateway.clock.advance(MINUTE);
    await me(access);
    expect(await noted('token.refused')).to.have.length(3);
  });

  it('[S46] a bound token without its key, and a proof that comes again, at a route and at the token endpoint', async () => {
    const client = await createClient(gateway);
    const prove = await proofsOf(client);
    const proof = await prove({});
    const access = String((await ask(client, proof)).body['access_token']);
    const ath = createHash('sha256').update(access).digest('base64url');
    const dpop = await prove({ htm: 'GET', htu: `${gateway.url}/auth/me`, ath });
    const use = (): Promise<Answer> =>
      call(gateway, '/auth/me', { headers: { authorization: `DPoP ${access}`, dpop } });
    const statuses = [
      (await me(access)).status,
      (await use()).status,
      (await use()).status,
      (await ask(client, proof)).status,
    ];
    expect(statuses).to.deep.equal([401, 200, 401, 400]);
    const principal = `client:${client.id}`;
    const shown = (await noted('token.refused')).map((row) => [
      row['principal'],
      (row['details'] as { shown: string }).shown,
    ]);
    expect(shown).to.deep.equal([
      [principal, 'bearer'],
      [principal, 'dpop'],
    ]);
    const atToken = (await noted('oauth.token')).map((row) => [row['principal'], row['code']]);
    expect(atToken).to.deep.equal([[principal, 'invalid_dpop_proof']]);
  });

  it('[S47] [S16] a client’s token from elsewhere, and more scopes than it has', async () => {
    const client = await createClient(gateway, {
      ipAllowList: ['127.0.0.1', '192.0.2.0/24'],
      scopes: ['sync:read'],
    });
    const access = String((await token(gateway, client)).body['access_token']);
    const wider = await token(gateway, client, { scope: 'admin' });
    const elsewhere = await me(access, '198.51.100.1');
    expect([wider.status, elsewhere.status]).to.deep.equal([400, 403]);
    const principal = `client:${client.id}`;
    expect(await noted('oauth.token')).to.deep.equal([
      { code: 'forbidden', principal, details: { scope: ['admin'] } },
    ]);
    expect((await noted('token.refused'))[0]).to.deep.include({ code: 'forbidden', principal });
  });

  it('[S54] a grant of more than one has, after its rollback', async () => {
    await createPerson(gateway);
    const { id, username } = await createPerson(gateway);
    const patch = { method: 'PATCH', json: { role: 'admin', partitions: ['*'] } };
    await call(gateway, `/api/v1/admin/users/${id}`, { ...patch, key: ADMIN_KEY });
    const { access: bearer } = await logIn(gateway, username);
    const act = { ...patch, json: { role: 'owner' }, bearer };
    for (let i = 0; i < 2; i += 1)
      expect((await call(gateway, `/api/v1/admin/users/${id}`, act)).body['code']).to.equal('forbidden');
    const details = { act: 'PATCH /api/v1/admin/users/:id' };
    expect(await noted('access.refused')).to.deep.equal([
      { code: 'forbidden', principal: `user:${id}`, details },
    ]);
  });

  it('[S30] work that was asked for', async () => {
    const { username } = await createPerson(gateway);
    const headers = { 'x-forwarded-for': '192.0.2.1' };
    const json = { username, password: 'wrong' };
    const statuses = [];
    for (let i = 0; i < 4; i += 1)
      statuses.push((await call(gateway, '/api/login', { json, headers })).status);
    expect(statuses).to.deep.equal([401, 401, 428, 428]);
    const row = { code: 'proof_of_work_required', principal: null, details: { purpose: 'login' } };
    expect(await noted('proof_of_work.required')).to.deep.equal([row]);
    expect(JSON.stringify(await gateway.db.sql('SELECT * FROM audit_logs'))).not.to.include(PASSWORD);
  });
});
