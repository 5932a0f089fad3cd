import { expect } from 'chai';
import { call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Client, Tokens } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('introspection', () => {
  let gateway: Gateway;
  let client: Client;
  let tokens: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    client = await createClient(gateway);
    tokens = await clientTokens(gateway, client);
  });
  afterEach(() => gateway.close());

  const ask = (value: string, by = client, path = '/oauth/introspect'): Promise<Answer> =>
    call(gateway, path, { form: { token: value, client_id: by.clientId, client_secret: by.secret } });
  const isActive = async (value: string, by = client): Promise<unknown> =>
    (await ask(value, by)).body['active'];

  it('tells a client what its tokens are worth, never cached', async () => {
    const access = await ask(tokens.access);
    const refresh = await ask(tokens.refresh);
    expect(access.body).to.deep.include({
      active: true,
      token_type: 'Bearer',
      client_id: client.clientId,
      sub: client.id,
      iss: gateway.url,
      aud: 'sluice',
      scope: 'sync:read sync:write config:read',
    });
    expect(access.body).to.include.keys('exp', 'iat', 'jti', 'sid', 'tid');
    expect(refresh.body).to.deep.include({ active: true, client_id: client.clientId, sub: client.id });
    expect([access, refresh].map(({ headers }) => headers.get('cache-control'))).to.deep.equal([
      'no-store',
      'no-store',
    ]);
  });

  it('[S48] of others’ tokens it says what it says of none', async () => {
    const other = await createClient(gateway, { scopes: ['admin'] });
    await createPerson(gateway, { username: 'ana' });
    const persons = await logIn(gateway, 'ana');
    const { body } = await call(gateway, '/api/v1/admin/tenants', { json: { name: 'two' }, key: ADMIN_KEY });
    const tenantId = (body['tenant'] as { id: number }).id;
    const elsewhere = await clientTokens(gateway, await createClient(gateway, { tenantId }));
    const asked = [
      await ask(tokens.access, other),
      await ask(tokens.refresh, other),
      ...(await Promise.all(
        [persons.access, persons.refresh, elsewhere.access, elsewhere.refresh, 'x', 'srt_1_x', 'a.b.c'].map(
          (value) => ask(value),
        ),
      )),
    ];
    expect(asked.map(({ status, text }) => `${status} ${text}`)).to.deep.equal(
      asked.map(() => '200 {"active":false}'),
    );
  });

  it('[S49] a revoked token is not active, whichever of the two was revoked; no-store', async () => {
    const second = await clientTokens(gateway, client);
    await ask(tokens.access, client, '/oauth/revoke');
    await ask(second.refresh, client, '/oauth/revoke');
    const values = [tokens.access, tokens.refresh, second.access, second.refresh];
    const answers = await Promise.all(values.map((value) => ask(value)));
    expect(answers.map(({ text }) => text)).to.deep.equal(values.map(() => '{"active":false}'));
    expect(answers.map(({ headers }) => headers.get('cache-control'))).to.deep.equal(
      values.map(() => 'no-store'),
    );
  });

  it('[S49] an expired access token, a used and an expired refresh token are not active', async () => {
    await token(gateway, client, { grant_type: 'refresh_token', refresh_token: tokens.refresh });
    expect(await isActive(tokens.refresh)).to.equal(false);
    const fresh = await clientTokens(gateway, client);
    gateway.clock.advance(906_000);
    expect([await isActive(fresh.access), await isActive(fresh.refresh)]).to.deep.equal([false, true]);
    gateway.clock.advance(8 * 86_400_000);
    expect(await isActive(fresh.refresh)).to.equal(false);
  });

  it('[S58] says the rights of now, not those of the token', async () => {
    const patch = { method: 'PATCH', json: { scopes: ['sync:read'] }, key: ADMIN_KEY };
    await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, patch);
    expect((await ask(tokens.access)).body['scope']).to.equal('sync:read');
  });

  it('[S43] who does not authenticate is told nothing; nor is the terminal client, which cannot', async () => {
    const wrong = await ask(tokens.access, { ...client, secret: 'wrong' });
    const none = await call(gateway, '/oauth/introspect', { form: { token: tokens.access } });
    const terminal = await call(gateway, '/oauth/introspect', {
      form: { token: tokens.access, client_id: 'sluice-cli' },
    });
    const answers = [wrong, none, terminal];
    expect(answers.map(({ status, body }) => [status, body['error']])).to.deep.equal(
      answers.map(() => [401, 'invalid_client']),
    );
    expect((await ask('')).body['error']).to.equal('invalid_request');
  });
});
