import { expect } from 'chai';
import { decodeJwt } from 'jose';
import { SCOPES_SUPPORTED } from '../../server/auth/roles.ts';
import { call, createClient, token } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('scopes of OAuth clients', () => {
  let gateway: Gateway;
  before(async () => (gateway = await startGateway()));
  after(() => gateway.close());

  const KNOWN = [...SCOPES_SUPPORTED, 'records:stoku:read', 'records:my-own_2:write'];
  for (const scopes of [...KNOWN.map((name) => [name]), KNOWN, ['sync:read', 'sync:write', 'config:read']]) {
    it(`a client registered for ${scopes.join(' ')} has it in its token, its answer and its rights`, async () => {
      const client = await createClient(gateway, { scopes });
      const first = await token(gateway, client);
      const form = {
        grant_type: 'refresh_token',
        refresh_token: String(first.body['refresh_token']),
        client_id: client.clientId,
        client_secret: client.secret,
      };
      const asked = await token(gateway, client, { scope: scopes.join(' ') });
      const renewed = await call(gateway, '/oauth/token', { form });
      for (const { body } of [first, asked, renewed]) {
        const bearer = String(body['access_token']);
        const me = await call(gateway, '/auth/me', { bearer });
        expect([
          body['scope'],
          decodeJwt(bearer)['scope'],
          (me.body['scopes'] as string[]).join(' '),
        ]).to.deep.equal(Array(3).fill(scopes.join(' ')));
      }
    });
  }

  it('as many scopes as may be registered fit into a token that is taken; more are refused', async () => {
    const many = (count: number): string[] =>
      Array.from({ length: count }, (_, i) => `records:${'c'.repeat(60)}${i + 10}:read`);
    const client = await createClient(gateway, { scopes: many(26) });
    const { body } = await token(gateway, client);
    const me = await call(gateway, '/auth/me', { bearer: String(body['access_token']) });
    const json = { name: 'x', scopes: many(27) };
    const refused = await call(gateway, '/api/v1/admin/oauth-clients', { json, key: ADMIN_KEY });
    expect([me.status, (me.body['scopes'] as string[]).length, refused.status]).to.deep.equal([200, 26, 400]);
  });

  it('a scope that a client is given later is in its next token', async () => {
    const client = await createClient(gateway, { scopes: ['sync:read'] });
    await token(gateway, client);
    const scopes = ['sync:read', 'config:read'];
    const change = { method: 'PATCH', json: { scopes }, key: ADMIN_KEY };
    expect((await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, change)).status).to.equal(200);
    expect((await token(gateway, client)).body['scope']).to.equal('sync:read config:read');
  });

  for (const name of [
    'config:write',
    'sync',
    'SYNC:READ',
    'records::read',
    'records:stoku',
    'sync:read sync:write',
    '',
  ])
    it(`a scope that does not exist is refused by name at registration and change: ${JSON.stringify(name)}`, async () => {
      const client = await createClient(gateway, { scopes: ['sync:read'] });
      const path = '/api/v1/admin/oauth-clients';
      const requests = [
        call(gateway, path, { json: { name: 'x', scopes: ['sync:read', name] }, key: ADMIN_KEY }),
        call(gateway, `${path}/${client.id}`, {
          method: 'PATCH',
          json: { scopes: ['chat', name] },
          key: ADMIN_KEY,
        }),
      ];
      for (const { status, body } of await Promise.all(requests)) {
        expect([status, body['code']]).to.deep.equal([400, 'invalid_request']);
        const [fault] = body['errors'] as { path: string; message: string }[];
        expect(fault?.path).to.equal('scopes.1');
        expect(fault?.message)
          .to.contain(JSON.stringify(name))
          .and.to.contain('config:read')
          .and.to.contain('records:');
      }
    });
});
