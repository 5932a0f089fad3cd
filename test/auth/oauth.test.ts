import { expect } from 'chai';
import { auditRows, call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Client } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { statementsOf } from './support/statements.ts';

const DAY = 86_400_000;
const basic = (id: string, secret: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`,
});
const GRANT = { grant_type: 'client_credentials' };

describe('OAuth clients and tokens', () => {
  let gateway: Gateway;
  let client: Client;
  beforeEach(async () => {
    gateway = await startGateway();
    client = await createClient(gateway);
  });
  afterEach(() => gateway.close());
  const outcomeOf = (answer: Answer): unknown[] => [answer.status, answer.body['error']];

  it('are registered with the admin key and get tokens by Basic or body, never cached', async () => {
    const byBody = await token(gateway, client);
    const byBasic = await call(gateway, '/oauth/token', {
      form: GRANT,
      headers: basic(client.clientId, client.secret),
    });
    const me = await call(gateway, '/auth/me', { bearer: String(byBasic.body['access_token']) });
    expect(byBody.body).to.include({
      token_type: 'Bearer',
      expires_in: 900,
      scope: 'sync:read sync:write config:read',
    });
    expect(byBody.headers.get('cache-control')).to.equal('no-store');
    expect(me.body['partitions']).to.deep.equal({ read: ['branch-12'], write: ['branch-12'] });
    expect((await auditRows(gateway, 'oauth.token')).map((row) => row.principal)).to.deep.equal(
      Array.from({ length: 2 }, () => `client:${client.id}`),
    );
  });

  it('metadata and keys are where RFC 8414 puts them', async () => {
    const { body } = await call(gateway, '/.well-known/oauth-authorization-server');
    expect(body).to.include({
      issuer: gateway.url,
      token_endpoint: `${gateway.url}/oauth/token`,
      revocation_endpoint: `${gateway.url}/oauth/revoke`,
      jwks_uri: `${gateway.url}/.well-known/jwks.json`,
    });
  });

  it('[S16] scope is narrowed on request and never widened, neither at the grant nor at a refresh', async () => {
    const narrow = await token(gateway, client, { scope: 'sync:read' });
    const wide = await token(gateway, client, { scope: 'sync:read admin' });
    const form = {
      grant_type: 'refresh_token',
      refresh_token: String(narrow.body['refresh_token']),
      client_id: client.clientId,
      client_secret: client.secret,
    };
    const widened = await call(gateway, '/oauth/token', { form: { ...form, scope: 'sync:read sync:write' } });
    const same = await call(gateway, '/oauth/token', { form });
    expect(narrow.body['scope']).to.equal('sync:read');
    expect([outcomeOf(wide), outcomeOf(widened)]).to.deep.equal([
      [400, 'invalid_scope'],
      [400, 'invalid_scope'],
    ]);
    expect([same.status, same.body['scope']]).to.deep.equal([200, 'sync:read']);
  });

  it('[S15] a refresh token is bound to its client', async () => {
    const { refresh } = await clientTokens(gateway, client);
    const other = await createClient(gateway);
    await createPerson(gateway, { username: 'ana' });
    const persons = await logIn(gateway, 'ana');
    const use = (by: Client, refresh_token: string): Promise<Answer> =>
      token(gateway, by, { grant_type: 'refresh_token', refresh_token });
    const stolen = await use(other, refresh);
    const fromPerson = await use(client, persons.refresh);
    const asPerson = await call(gateway, '/auth/refresh', { json: { refresh_token: refresh } });
    const own = await use(client, refresh);
    expect([outcomeOf(stolen), outcomeOf(fromPerson)]).to.deep.equal([
      [400, 'invalid_grant'],
      [400, 'invalid_grant'],
    ]);
    expect([asPerson.status, own.status]).to.deep.equal([401, 200]);
  });

  const malformed: [string, Record<string, string>][] = [
    ['no base64', { authorization: 'Basic !!!' }],
    ['no colon', { authorization: `Basic ${Buffer.from('abc').toString('base64')}` }],
    ['no client', { authorization: `Basic ${Buffer.from(':abc').toString('base64')}` }],
    ['bad percent encoding', { authorization: `Basic ${Buffer.from('%zz:abc').toString('base64')}` }],
    ['stray bits', { authorization: 'Basic YTpiY' }],
    ['another scheme', { authorization: 'Bearer abc' }],
    ['empty', { authorization: 'Basic ' }],
  ];
  for (const [name, headers] of malformed) {
    it(`[S42] a malformed Authorization header is refused: ${name}`, async () => {
      const answer = await call(gateway, '/oauth/token', { form: GRANT, headers });
      expect(outcomeOf(answer)).to.deep.equal([401, 'invalid_client']);
      expect(answer.headers.get('www-authenticate')).to.match(/^Basic /);
    });
  }

  it('[S42] two mechanisms, duplicate parameters and assertions are refused', async () => {
    const headers = basic(client.clientId, client.secret);
    const both = await call(gateway, '/oauth/token', {
      form: { ...GRANT, client_secret: client.secret },
      headers,
    });
    const twice = await call(gateway, '/oauth/token', {
      form: 'grant_type=client_credentials&scope=chat&scope=chat',
      headers,
    });
    const other = await call(gateway, '/oauth/token', {
      form: { ...GRANT, client_id: 'slc_1_other' },
      headers,
    });
    const assertion = await call(gateway, '/oauth/token', {
      form: {
        ...GRANT,
        client_assertion: 'x',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      },
    });
    const statuses = [both, twice, other].map(outcomeOf);
    expect(statuses).to.deep.equal(Array.from({ length: 3 }, () => [400, 'invalid_request']));
    expect(outcomeOf(assertion)).to.deep.equal([401, 'invalid_client']);
  });

  it('[S43] an unknown client and a wrong secret get the same answer for the same work', async () => {
    const shape = (answer: Answer): unknown => [
      answer.status,
      answer.text,
      [...answer.headers.keys()].sort(),
    ];
    const attempts = [
      { clientId: client.clientId, secret: 'wrong' },
      { clientId: client.clientId.slice(0, -4) + 'AAAA', secret: client.secret },
      { clientId: 'nobody', secret: 'wrong' },
      { clientId: 'slc_77_aaaaaaaaaaaaaaaaaaaaaa', secret: 'wrong' },
      { clientId: "slc_1_' OR 1=1 --", secret: 'wrong' },
    ];
    const answers: Answer[] = [];
    const work: unknown[][] = [];
    const { clientLookUps } = gateway.identity.core;
    const submit = clientLookUps.submit.bind(clientLookUps);
    let looks = 0;
    clientLookUps.submit = (clientId, size) => {
      looks += 1;
      return submit(clientId, size);
    };
    for (const attempt of attempts) {
      looks = 0;
      const sent = await statementsOf(gateway, async () => answers.push(await token(gateway, attempt)));
      work.push([looks, ...sent]);
    }
    const rows = await auditRows(gateway, 'oauth.client_authentication');
    expect(new Set(answers.map((answer) => JSON.stringify(shape(answer)))).size).to.equal(1);
    expect([rows.length, rows.some((row) => row.success)]).to.deep.equal([attempts.length, false]);
    for (const done of work) expect(done).to.deep.equal(work[0]).and.to.include(1);
  });

  it('[S44] two secrets are valid in the overlap, the old one is dead after', async () => {
    const path = `/api/v1/admin/oauth-clients/${client.id}/secrets`;
    const rotated = await call(gateway, path, { json: { overlapSeconds: 86_400 }, key: ADMIN_KEY });
    const fresh = { clientId: client.clientId, secret: String(rotated.body['client_secret']) };
    const during = [await token(gateway, client), await token(gateway, fresh)];
    gateway.clock.advance(DAY + 1);
    const after = [await token(gateway, client), await token(gateway, fresh)];
    expect([during, after].map((pair) => pair.map((answer) => answer.status))).to.deep.equal([
      [200, 200],
      [401, 200],
    ]);
  });

  it('[S44] a removed secret is dead at once', async () => {
    const path = `/api/v1/admin/oauth-clients/${client.id}/secrets/${client.secretId}`;
    const removed = await call(gateway, path, { method: 'DELETE', key: ADMIN_KEY });
    expect([removed.status, (await token(gateway, client)).status]).to.deep.equal([200, 401]);
  });

  it('[S48] a client revokes its own tokens only; whatever else it names is answered 200', async () => {
    const other = await createClient(gateway);
    const [own, theirs] = [await clientTokens(gateway, client), await clientTokens(gateway, other)];
    const revoke = (value: string): Promise<Answer> =>
      call(gateway, '/oauth/revoke', {
        form: { token: value },
        headers: basic(client.clientId, client.secret),
      });
    const answers = [];
    for (const value of [theirs.access, theirs.refresh, 'unknown', 'srt_1_unknown', 'a.b.c'])
      answers.push(await revoke(value));
    const stillTheirs = await call(gateway, '/auth/me', { bearer: theirs.access });
    answers.push(await revoke(own.refresh));
    const mine = await call(gateway, '/auth/me', { bearer: own.access });
    expect(new Set(answers.map((answer) => answer.status))).to.deep.equal(new Set([200]));
    expect([stillTheirs.status, mine.status]).to.deep.equal([200, 401]);
  });

  it('[S51] unsupported grants, other content types and oversized bodies are refused', async () => {
    const headers = basic(client.clientId, client.secret);
    const ask = (form: Record<string, string> | string, type?: string): Promise<Answer> =>
      call(gateway, '/oauth/token', {
        form,
        headers: { ...headers, ...(type ? { 'content-type': type } : {}) },
      });
    const password = await ask({ grant_type: 'password', username: 'a', password: 'b' });
    const code = await ask({ grant_type: 'authorization_code', code: 'x' });
    const none = await ask({ scope: 'chat' });
    const json = await call(gateway, '/oauth/token', { json: GRANT, headers });
    const smuggled = await call(gateway, '/oauth/token', {
      json: { a: '&grant_type=client_credentials&b=' },
      headers,
    });
    const multipart = await ask('--x\r\n\r\n--x--', 'multipart/form-data; boundary=x');
    const big = await ask(`grant_type=client_credentials&scope=${'a'.repeat(2_000_000)}`);
    expect([password, code].map(outcomeOf)).to.deep.equal(
      Array.from({ length: 2 }, () => [400, 'unsupported_grant_type']),
    );
    expect([none, json, smuggled, multipart].map(outcomeOf)).to.deep.equal(
      Array.from({ length: 4 }, () => [400, 'invalid_request']),
    );
    expect(big.status).to.equal(413);
  });

  it('a client has its own rate, with headers and Retry-After', async () => {
    const limited = await createClient(gateway, { ratePerMinute: 2 });
    const answers = [
      await token(gateway, limited),
      await token(gateway, limited),
      await token(gateway, limited),
    ];
    expect(answers.map((answer) => answer.status)).to.deep.equal([200, 200, 429]);
    expect(Number(answers[2]!.headers.get('retry-after'))).to.be.within(1, 60);
  });

  it('a client without a rate of its own has a general one for tokens; a rate of its own takes its place', async () => {
    const strict = await startGateway({ env: { CLIENT_TOKEN_LIMIT: '2' } });
    const clients = [await createClient(strict), await createClient(strict, { ratePerMinute: 9 })];
    const answers = [];
    for (const each of clients) for (let i = 0; i < 3; i += 1) answers.push(await token(strict, each));
    const sessions = await strict.db.sql('SELECT 1 FROM sessions');
    const bearer = String(answers[0]!.body['access_token']);
    const used = await call(strict, '/auth/me', { bearer });
    await strict.close();
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 429, 200, 200, 200]);
    expect(outcomeOf(answers[2]!)).to.deep.equal([429, 'temporarily_unavailable']);
    expect(Number(answers[2]!.headers.get('retry-after'))).to.be.within(1, 60);
    expect([sessions.length, used.status]).to.deep.equal([5, 200]);
  });

  it('failed client authentications are limited per client and address; another client is not touched', async () => {
    const statuses = [];
    for (let i = 0; i < 6; i += 1)
      statuses.push((await token(gateway, { ...client, secret: 'wrong' })).status);
    const elsewhere = await createClient(gateway);
    expect(statuses).to.deep.equal([401, 401, 401, 401, 401, 429]);
    expect((await token(gateway, elsewhere)).status).to.equal(200);
  });

  it('50 token requests of one client at once all succeed: bursts of right secrets are not guesses', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => token(gateway, client)));
    expect(new Set(answers.map((answer) => answer.status))).to.deep.equal(new Set([200]));
  });
});

describe('[S47] IP allow-lists', () => {
  const ask = async (env: Record<string, string>, list: string[], forwarded?: string): Promise<number> => {
    const gateway = await startGateway({ env });
    const client = await createClient(gateway, { ipAllowList: list });
    const headers: Record<string, string> = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const form = { ...GRANT, client_id: client.clientId, client_secret: client.secret };
    const { status } = await call(gateway, '/oauth/token', { form, headers });
    await gateway.close();
    return status;
  };

  it('let in listed addresses, also in their IPv4-mapped IPv6 form', async () => {
    expect(await ask({}, ['127.0.0.0/8'])).to.equal(200);
    expect(await ask({}, ['::ffff:127.0.0.1'])).to.equal(200);
    expect(await ask({}, ['10.0.0.0/8', 'fd00::/8'])).to.equal(400);
  });

  it('do not believe a forged X-Forwarded-For without TRUST_PROXY, and only its last hop with it', async () => {
    expect(await ask({}, ['10.0.0.0/8'], '10.1.2.3')).to.equal(400);
    expect(await ask({ TRUST_PROXY: 'true' }, ['10.0.0.0/8'], '10.1.2.3')).to.equal(200);
    expect(await ask({ TRUST_PROXY: 'true' }, ['10.0.0.0/8'], '::ffff:10.1.2.3')).to.equal(200);
    expect(await ask({ TRUST_PROXY: 'true' }, ['10.0.0.0/8'], '10.1.2.3, 8.8.8.8')).to.equal(400);
  });

  it('know IPv6 and its blocks, however an address is written', async () => {
    const behind = { TRUST_PROXY: 'true' };
    expect(await ask(behind, ['2001:db8::/32'], '2001:db8:12::5')).to.equal(200);
    expect(await ask(behind, ['2001:db8::/32'], '2001:db9::5')).to.equal(400);
    expect(await ask(behind, ['2001:db8::5'], '2001:0DB8:0:0:0:0:0:5')).to.equal(200);
    expect(await ask(behind, ['2001:db8::/32'], '10.1.2.3')).to.equal(400);
    expect(await ask(behind, ['::ffff:10.0.0.0/104'], '10.1.2.3')).to.equal(200);
    expect(await ask(behind, ['10.0.0.0/8'], '::ffff:0a01:0203')).to.equal(200);
    expect(await ask(behind, ['10.0.0.0/8'], 'no address')).to.equal(400);
  });

  it('are checked again wherever the token is used', async () => {
    const gateway = await startGateway();
    const client = await createClient(gateway);
    const { access } = await clientTokens(gateway, client);
    const request = { method: 'PATCH', json: { ipAllowList: ['10.0.0.0/8'] }, key: ADMIN_KEY };
    await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, request);
    const { status } = await call(gateway, '/auth/me', { bearer: access });
    await gateway.close();
    expect(status).to.equal(403);
  });
});
