import { expect } from 'chai';
import { createApiKey } from '../../server/auth/opaque.ts';
import { call, clientTokens, createClient, createPerson } from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { codeOf, dataOf } from './support/device-suite.ts';
import type { Gateway } from './support/gateway.ts';
import { toKey, useApiKeys } from './support/key-suite.ts';

describe('what API keys may do, and how often', () => {
  const suite = useApiKeys();
  const { start, admin, createOwner, create, createKey, use, update } = suite;
  const createTenantAdmin = async (): Promise<string> => {
    const made = await admin('/tenants', { json: { name: 'Second' } });
    const tenantId = (made.body['tenant'] as { id: number }).id;
    const settings = { tenantId, scopes: ['admin'], partitions: ['*'] };
    return (await clientTokens(suite.gateway, await createClient(suite.gateway, settings))).access;
  };

  it('[S54] a key with the scope admin is no admin key: no tenants, no owners, nothing beyond its partitions', async () => {
    await start();
    const owner = await createPerson(suite.gateway);
    const { apiKey: key } = await createKey({ permissions: ['admin'], partitions: ['p1'] });
    const patch = { method: 'PATCH', json: { disabled: true }, key };
    const clientId = await createOwner({ key });
    const json = { clientId, permissions: ['sync:read'], partitions: ['p2'] };
    const answers = [
      await admin('/tenants', { json: { name: 'Mine' }, key }),
      await admin(`/users/${owner.id}`, patch),
      await admin('/keys/create', { json, key }),
      await admin('/users?tenantId=2', { key }),
    ];
    expect(answers.map((answer) => answer.status)).to.deep.equal([403, 403, 403, 403]);
    const wide = await createKey({ permissions: ['admin'], partitions: ['*'] });
    const touch = await admin(`/users/${owner.id}`, { ...patch, key: wide.apiKey });
    expect(touch.body['detail']).to.equal('Only an owner may do this to an owner.');
  });

  it('[S54] nobody gives a key what they do not have, or touches one that holds more', async () => {
    await start();
    const big = await createKey({ permissions: ['audit:read'], partitions: ['*'] });
    const clientId = await createOwner();
    const limited = await createClient(suite.gateway, { scopes: ['admin'], partitions: ['p1'] });
    const { access: bearer } = await clientTokens(suite.gateway, limited);
    const ask = (path: string, request: Call): Promise<Answer> =>
      call(suite.gateway, `/api/v1/admin${path}`, { ...request, bearer });
    const make = (partitions: string[]): Promise<Answer> =>
      ask('/keys/create', { json: { clientId, permissions: ['sync:read'], partitions } });
    const small = toKey(await make(['p1']));
    const answers = [
      await make(['*']),
      await ask(`/keys/${small.id}/update`, { method: 'PUT', json: { partitions: ['p2'] } }),
      await ask(`/keys/${big.id}/update`, { method: 'PUT', json: { isActive: false } }),
      await ask(`/keys/${big.id}/rotate`, { json: {} }),
      await ask(`/keys/${big.id}/revoke`, { method: 'DELETE' }),
    ];
    expect(answers.map(codeOf)).to.deep.equal(Array(5).fill([403, 'forbidden_partition']));
    expect(answers.map(({ text }) => text).join('')).not.to.include('slk_');
    expect((await use(big.apiKey)).status).to.equal(200);
  });

  it('[S54] fields that nobody knows are refused, not passed over', async () => {
    await start();
    const key = await createKey();
    const clientId = await createOwner();
    const base = { clientId, permissions: ['sync:read'] };
    const answers = [
      await admin('/keys/create', { json: { ...base, tenantId: 2 } }),
      await admin('/keys/create', { json: { ...base, role: 'owner' } }),
      await admin('/keys/create', { json: { clientId, permissions: ['everything'] } }),
      await admin('/keys/create', { json: { ...base, expiresAt: '2020-01-01T00:00:00Z' } }),
      await update(key.id, { hash: 'x' }),
      await admin('/clients', { json: { name: 'x', clientType: 'robot' } }),
    ];
    expect(answers.map(codeOf)).to.deep.equal(Array(6).fill([400, 'invalid_request']));
  });

  it('have a limit of their own, with headers', async () => {
    await start();
    const { apiKey } = await createKey({ rateLimit: 2 });
    const other = await createKey();
    const answers = [await use(apiKey), await use(apiKey), await use(apiKey)];
    expect(answers.map((answer) => answer.status)).to.deep.equal([200, 200, 429]);
    expect(answers[0]?.headers.get('x-ratelimit-limit')).to.equal('2');
    expect(answers[2]?.headers.get('retry-after')).to.match(/^\d+$/);
    expect((await use(other.apiKey)).status).to.equal(200);
  });

  it('making and changing them is limited to 10 an hour; reading is not', async () => {
    await start({ env: { KEY_OPERATION_LIMIT: '' } });
    const statuses = [];
    const json = { name: 'Shop', clientType: 'web' };
    for (let i = 0; i < 11; i += 1) statuses.push((await admin('/clients', { json })).status);
    expect(statuses).to.deep.equal([...Array<number>(10).fill(201), 429]);
    expect((await admin('/keys/list')).status).to.equal(200);
  });

  it('[S53] [S30] the limits run before the look-up, a new key in the header is no new count, the right one passes', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT_ADDRESS: '8' } });
    const { apiKey } = await createKey();
    const guess = createApiKey(1).key;
    const looks = countLookUps(suite.gateway);
    const statuses = [];
    for (let i = 0; i < 7; i += 1) statuses.push((await use(guess)).status);
    expect([statuses, looks()]).to.deep.equal([[401, 401, 401, 401, 401, 429, 429], 5]);
    for (let i = 0; i < 5; i += 1) statuses.push((await use(createApiKey(i + 1).key)).status);
    expect(statuses.slice(7)).to.deep.equal([401, 401, 401, 429, 429]);
    const refusals = await suite.gateway.db.sql('SELECT 1 FROM audit_logs WHERE NOT success');
    // a key that has not been used here for a while has to be looked up too, and so have the others; they leave no trace
    expect([(await use(apiKey)).status, refusals.length]).to.deep.equal([200, 8]);
  });

  it('are refused as bearer tokens, with a word about where they go', async () => {
    await start();
    const { apiKey } = await createKey();
    const answer = await call(suite.gateway, '/auth/me', { bearer: apiKey });
    expect(codeOf(answer)).to.deep.equal([401, 'invalid_token']);
    expect(answer.body['detail']).to.include('X-API-Key');
    const both = await call(suite.gateway, '/auth/me', {
      key: apiKey,
      headers: { authorization: 'Basic YTpi' },
    });
    expect(both.status).to.equal(401);
  });

  it('[S63] keys and owners of one tenant are out of reach of another’s administrator', async () => {
    await start();
    const bearer = await createTenantAdmin();
    const made = await create();
    const { id, apiKey } = toKey(made);
    const clientId = String(dataOf(made)['clientId']);
    const ask = (path: string, request: Call = {}): Promise<Answer> =>
      call(suite.gateway, `/api/v1/admin${path}`, { ...request, bearer });
    const answers = [
      await ask('/keys/create', { json: { clientId, permissions: ['sync:read'] } }),
      await ask(`/keys/${id}/update`, { method: 'PUT', json: { isActive: false } }),
      await ask(`/keys/${id}/rotate`, { json: {} }),
      await ask(`/keys/${id}/revoke`, { method: 'DELETE' }),
      await ask(`/clients/${clientId}`, { method: 'PUT', json: { isActive: false } }),
    ];
    const lists = [await ask('/keys/list'), await ask('/clients')];
    const named = await ask('/keys/list?tenantId=1');
    expect(answers.map((answer) => answer.status)).to.deep.equal([404, 404, 404, 404, 404]);
    expect(lists.map(({ text }) => text).join('')).not.to.include(clientId);
    expect([named.status, (await use(apiKey)).status]).to.deep.equal([403, 200]);
    const foreign = await call(suite.gateway, '/auth/me?tenantId=2', { key: apiKey });
    expect(foreign.status).to.equal(403);
  });
});

/** How often a key was looked up in the database from now on. */
function countLookUps(gateway: Gateway): () => number {
  const { apiKeys } = gateway.identity.core;
  const load = apiKeys.load.bind(apiKeys);
  let count = 0;
  apiKeys.load = (place) => {
    count += 1;
    return load(place);
  };
  return () => count;
}
