import { expect } from 'chai';
import { call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { codeOf, dataOf, useDevices } from './support/device-suite.ts';
import { ADMIN_KEY } from './support/gateway.ts';

describe('what anonymous devices may do, and how often', () => {
  const suite = useDevices();
  const { start, auth, register, registered, validate } = suite;

  it('[S54] neither tenant, role, partition nor id is a device’s to name', async () => {
    await start();
    const { access } = await registered();
    for (const json of [
      { tenantId: 2 },
      { role: 'admin' },
      { partitions: ['*'] },
      { permissions: ['admin'] },
      { deviceId: '6f1c0000-0000-4000-8000-000000000000' },
    ]) {
      const update = await auth('device/update', { method: 'PUT', json, bearer: access });
      expect([(await register(json)).status, update.status]).to.deep.equal([400, 400]);
    }
    expect(await suite.gateway.db.sql('SELECT 1 FROM devices')).to.have.length(1);
  });

  it('get partitions from an administrator, who hands out what he has; it counts at once', async () => {
    await start();
    const device = await registered();
    const path = `/api/v1/admin/devices/${device.id}`;
    const small = await clientTokens(
      suite.gateway,
      await createClient(suite.gateway, { scopes: ['admin'], partitions: ['p1:read'] }),
    );
    const patch = (partitions: string[]): Promise<Answer> =>
      call(suite.gateway, path, { method: 'PATCH', json: { partitions }, bearer: small.access });
    expect((await patch(['p1:read'])).status).to.equal(200);
    expect(codeOf(await patch(['p2']))).to.deep.equal([403, 'forbidden_partition']);
    const valid = await auth('validate', { method: 'POST', bearer: device.access });
    expect(dataOf(valid)['partitions']).to.deep.equal({ read: ['p1'], write: [] });
    const list = await call(suite.gateway, '/api/v1/admin/devices', { key: ADMIN_KEY });
    expect(dataOf(list)['pagination']).to.deep.equal({ page: 1, limit: 20, total: 1, pages: 1 });
  });

  it('nobody else does what a device does, and a device administers nothing', async () => {
    await start();
    await createPerson(suite.gateway, { username: 'ana' });
    const person = await logIn(suite.gateway, 'ana');
    const device = await registered();
    const refused = [
      await auth('device/info', { bearer: person.access }),
      await auth('device/revoke', { method: 'DELETE', bearer: person.access }),
      await auth('logout', { method: 'POST', key: ADMIN_KEY }),
      await register({}, { bearer: person.access }),
      await call(suite.gateway, '/api/v1/admin/devices', { bearer: device.access }),
      await call(suite.gateway, '/api/v1/admin/keys/list', { bearer: device.access }),
    ];
    expect(refused.map((answer) => answer.status)).to.deep.equal(Array(6).fill(403));
    expect((await register({}, { headers: { authorization: 'Bearer nonsense' } })).status).to.equal(401);
  });

  it('[S63] a device of one tenant is out of reach of another’s administrator', async () => {
    await start();
    const { id, access } = await registered();
    const made = await call(suite.gateway, '/api/v1/admin/tenants', {
      json: { name: 'Second' },
      key: ADMIN_KEY,
    });
    const tenantId = (made.body['tenant'] as { id: number }).id;
    const scopes = ['admin'];
    const foreign = await createClient(suite.gateway, { tenantId, scopes, partitions: ['*'] });
    const { access: bearer } = await clientTokens(suite.gateway, foreign);
    const list = await call(suite.gateway, '/api/v1/admin/devices', { bearer });
    const path = `/api/v1/admin/devices/${id}`;
    const patch = await call(suite.gateway, path, { method: 'PATCH', json: { isActive: false }, bearer });
    const named = await call(suite.gateway, `${path}?tenantId=1`, { method: 'PATCH', json: {}, bearer });
    expect(dataOf(list)['devices']).to.deep.equal([]);
    expect([patch.status, named.status, await validate(access)]).to.deep.equal([404, 403, 200]);
  });

  it('[S53] registrations are limited by address, whatever a header says: 3 an hour', async () => {
    await start({ env: { DEVICE_REGISTRATION_LIMIT: '' } });
    const answers = [];
    for (let i = 0; i < 4; i += 1) {
      const headers = { 'x-forwarded-for': `198.51.100.${i}`, 'user-agent': `agent ${i}` };
      answers.push(await register({ fingerprint: `looks like ${i}` }, { headers }));
    }
    expect(answers.map((answer) => answer.status)).to.deep.equal([201, 201, 201, 429]);
    expect(answers[3]?.headers.get('retry-after')).to.match(/^\d+$/);
    expect(answers[0]?.headers.get('x-ratelimit-limit')).to.equal('3');
  });

  it('[S53] [S30] wrong refresh tokens are counted: the same one 5 times, different ones by their address; the right one passes', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT_ADDRESS: '8' } });
    const device = await registered();
    const tries = async (tokens: string[]): Promise<number[]> => {
      const statuses = [];
      for (const refreshToken of tokens)
        statuses.push((await auth('refresh', { json: { refreshToken } })).status);
      return statuses;
    };
    expect(await tries(Array<string>(6).fill('srt_1_wrong'))).to.deep.equal([401, 401, 401, 401, 401, 429]);
    expect(await tries(['a', 'b', 'c', 'd', device.refresh])).to.deep.equal([401, 401, 401, 429, 200]);
  });

  it('[S53] who has not proved to be a device uses up no strict act of the others at that address', async () => {
    await start({ env: { STRICT_LIMIT: '' } });
    const { access: bearer } = await registered();
    const strangers = [];
    for (let i = 0; i < 4; i += 1) strangers.push((await auth('device/revoke', { method: 'DELETE' })).status);
    const own = await auth('device/revoke', { method: 'DELETE', bearer });
    expect([strangers, own.status]).to.deep.equal([[401, 401, 401, 401], 200]);
  });

  it('strict acts are 3 in 5 minutes, and a device’s requests have the general limit', async () => {
    await start({ env: { STRICT_LIMIT: '', RATE_LIMIT_MAX_REQUESTS: '4' } });
    const devices = [await registered(), await registered(), await registered(), await registered()];
    const statuses = [];
    for (const { access: bearer } of devices)
      statuses.push((await auth('device/revoke', { method: 'DELETE', bearer })).status);
    expect(statuses).to.deep.equal([200, 200, 200, 429]);
    const { access } = await registered();
    const many = [];
    for (let i = 0; i < 5; i += 1) many.push(await validate(access));
    expect(many).to.deep.equal([200, 200, 200, 200, 429]);
  });

  it('are not taken in where DEVICE_REGISTRATION is closed', async () => {
    await start({ env: { DEVICE_REGISTRATION: 'closed' } });
    expect(codeOf(await register())).to.deep.equal([403, 'signup_closed']);
  });
});
