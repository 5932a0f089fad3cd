import { expect } from 'chai';
import { parseConfig } from '../../server/config.ts';
import { call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Call, Person } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status);

describe('limits by role', () => {
  let gateway: Gateway;
  let owner: Person;
  const start = async (env: Record<string, string> = {}): Promise<void> => {
    gateway = await startGateway({ env });
    owner = await createPerson(gateway);
  };
  afterEach(() => gateway.close());

  const admin = (method: string, path: string, json?: unknown): Promise<Answer> =>
    call(gateway, `/api/v1/admin${path}`, {
      method,
      key: ADMIN_KEY,
      ...(json === undefined ? {} : { json }),
    });
  const personAs = async (role: string): Promise<{ id: string; access: string; username: string }> => {
    const { id, username } = await createPerson(gateway);
    await admin('PATCH', `/users/${id}`, { role });
    return { id, username, access: (await logIn(gateway, username)).access };
  };
  const ask = async (by: Call, times: number, path = '/auth/me'): Promise<Answer[]> => {
    const answers = [];
    for (let i = 0; i < times; i += 1) answers.push(await call(gateway, path, by));
    return answers;
  };
  const limitOf = async (by: Call): Promise<string | null> =>
    (await call(gateway, '/auth/me', by)).headers.get('x-ratelimit-limit');

  it('[S53] each role has its own number of requests in a window, with the headers of any limit', async () => {
    await start({ RATE_LIMIT_ROLES: 'member=2, operator=3' });
    const [member, operator] = [await personAs('member'), await personAs('operator')];
    const ofMember = await ask({ bearer: member.access }, 3);
    const ofOperator = await ask({ bearer: operator.access }, 4);
    expect([statuses(ofMember), statuses(ofOperator)]).to.deep.equal([
      [200, 200, 429],
      [200, 200, 200, 429],
    ]);
    const headers = ofMember.map((answer) => [
      answer.headers.get('x-ratelimit-limit'),
      answer.headers.get('x-ratelimit-remaining'),
      answer.headers.get('retry-after') !== null,
    ]);
    expect(headers).to.deep.equal([
      ['2', '1', false],
      ['2', '0', false],
      ['2', '0', true],
    ]);
    const reset = Number(ofMember[2]?.headers.get('x-ratelimit-reset')) * 1_000 - Date.now();
    expect(reset).to.be.within(890_000, 901_000);
    expect(ofMember[2]?.body['code']).to.equal('rate_limited');
  });

  it('counts a person once, whichever session asks, and one person not for another', async () => {
    await start({ RATE_LIMIT_ROLES: 'member=3' });
    const [one, other] = [await personAs('member'), await personAs('member')];
    const again = await logIn(gateway, one.username);
    const mixed = [one.access, again.access, one.access, again.access];
    const answers = [];
    for (const bearer of mixed) answers.push(await call(gateway, '/auth/me', { bearer }));
    expect(statuses(answers)).to.deep.equal([200, 200, 200, 429]);
    expect((await call(gateway, '/auth/me', { bearer: other.access })).status).to.equal(200);
  });

  it('[S53] what is refused for lack of a right counts as well', async () => {
    await start({ RATE_LIMIT_ROLES: 'member=2' });
    const { access: bearer } = await personAs('member');
    const refused = await ask({ bearer }, 3, '/api/v1/admin/users');
    const { access } = await personAs('member');
    const elsewhere = await ask({ bearer: access }, 3, '/auth/me?tenantId=2');
    expect([statuses(refused), statuses(elsewhere)]).to.deep.equal([
      [403, 403, 429],
      [403, 403, 429],
    ]);
  });

  it('has figures of its own where none are given, and those that are given leave the others as they are', async () => {
    await start({ RATE_LIMIT_ROLES: 'auditor=7,owner=none' });
    const limits = [];
    for (const role of ['admin', 'operator', 'auditor', 'member'])
      limits.push(await limitOf({ bearer: (await personAs(role)).access }));
    limits.push(await limitOf({ bearer: (await logIn(gateway, owner.username)).access }));
    expect(limits).to.deep.equal(['6000', '6000', '7', '3000', null]);
  });

  it('devices, clients and keys have theirs; a client’s or key’s own goes before; the admin key has none', async () => {
    await start({ RATE_LIMIT_ROLES: 'anonymous=11,service=12,api_key=13,owner=1' });
    const device = await call(gateway, '/api/v1/auth/device/register', { json: {} });
    const { accessToken } = device.body['data'] as { accessToken: string };
    const plain = await clientTokens(gateway, await createClient(gateway));
    const rated = await clientTokens(gateway, await createClient(gateway, { ratePerMinute: 21 }));
    const clientId = (await admin('POST', '/clients', { name: 'Shop', clientType: 'web' })).body['data'];
    const makeKey = async (more: object): Promise<string> => {
      const json = { clientId: (clientId as { id: string }).id, permissions: ['sync:read'], ...more };
      return (await admin('POST', '/keys/create', json)).text.match(/slk_[\w-]+/)?.[0] ?? '';
    };
    expect([
      await limitOf({ bearer: accessToken }),
      await limitOf({ bearer: plain.access }),
      await limitOf({ bearer: rated.access }),
      await limitOf({ key: await makeKey({}) }),
      await limitOf({ key: await makeKey({ rateLimit: 31 }) }),
      await limitOf({ key: ADMIN_KEY }),
    ]).to.deep.equal(['11', '12', '21', '13', '31', null]);
  });

  it('a role of a tenant’s own has what it is given, at once, and that of members otherwise', async () => {
    await start({ RATE_LIMIT_ROLES: 'member=50' });
    await admin('POST', '/roles', { name: 'clerk', scopes: ['chat'] });
    const { access: bearer } = await personAs('clerk');
    const limits = [await limitOf({ bearer })];
    const changed = await admin('PUT', '/roles/clerk', { scopes: ['chat'], rateLimit: 9 });
    limits.push(await limitOf({ bearer }));
    await admin('PUT', '/roles/clerk', { scopes: ['chat', 'sync:read'] });
    limits.push(await limitOf({ bearer }));
    await admin('PUT', '/roles/clerk', { scopes: ['chat'], rateLimit: null });
    limits.push(await limitOf({ bearer }));
    expect(limits).to.deep.equal(['50', '9', '9', '50']);
    expect(changed.body['role']).to.deep.include({ name: 'clerk', rateLimit: 9 });
    const { roles } = (await admin('GET', '/roles')).body as {
      roles: { name: string; rateLimit: unknown }[];
    };
    const shown = roles.filter(({ name }) => ['member', 'service', 'clerk'].includes(name));
    expect(shown.map(({ rateLimit }) => rateLimit)).to.deep.equal([50, null, null]);
    for (const rateLimit of [0, -1, 1.5, '9', 1_000_001])
      expect((await admin('PUT', '/roles/clerk', { scopes: [], rateLimit })).status).to.equal(400);
  });

  it('changes of keys by role; others keep theirs', async () => {
    await start({ KEY_OPERATION_LIMIT: '1', KEY_OPERATION_ROLES: 'owner=2,service=none' });
    const make = (by: Call): Promise<Answer> =>
      call(gateway, '/api/v1/admin/clients', { json: { name: 'Shop', clientType: 'web' }, ...by });
    const several = async (by: Call, times: number): Promise<number[]> => {
      const answers = [];
      for (let i = 0; i < times; i += 1) answers.push(await make(by));
      return statuses(answers);
    };
    const robot = await createClient(gateway, { scopes: ['admin'] });
    const { body } = await token(gateway, robot);
    expect(await several({ bearer: (await logIn(gateway, owner.username)).access }, 3)).to.deep.equal([
      201, 201, 429,
    ]);
    expect(await several({ bearer: (await personAs('admin')).access }, 2)).to.deep.equal([201, 429]);
    expect(await several({ key: ADMIN_KEY }, 2)).to.deep.equal([201, 429]);
    expect(await several({ bearer: String(body['access_token']) }, 4)).to.deep.equal([201, 201, 201, 201]);
  });

  it('two nodes count together, a moment later', async () => {
    const env = { RATE_LIMIT_ROLES: 'member=4', PUBLIC_URL: 'https://sync.example.org' };
    await start(env);
    const { access: bearer } = await personAs('member');
    const other = await startGateway({ db: gateway.db, clock: gateway.clock, env });
    const here = await ask({ bearer }, 3);
    await new Promise((resolve) => setTimeout(resolve, 600));
    const there = [await call(other, '/auth/me', { bearer })];
    await new Promise((resolve) => setTimeout(resolve, 600));
    there.push(await call(other, '/auth/me', { bearer }));
    await other.close();
    expect([statuses(here), statuses(there)]).to.deep.equal([
      [200, 200, 200],
      [200, 429],
    ]);
  });
});

describe('limits by role, in the configuration', () => {
  it('[OP1] figures that do not parse are faults, each role is named once', () => {
    for (const text of ['member', 'member=0', 'member=-1', 'boss=3', 'member=1,member=2', 'member=1;owner=2'])
      expect(() => parseConfig({ RATE_LIMIT_ROLES: text }), text).to.throw('RATE_LIMIT_ROLES');
    const { RATE_LIMIT_ROLES: limits } = parseConfig({ RATE_LIMIT_ROLES: ' member=1 , service=none, ' });
    expect([limits.get('member'), limits.get('service'), limits.get('owner')]).to.deep.equal([
      1,
      Infinity,
      6_000,
    ]);
  });
});
