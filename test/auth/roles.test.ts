import { expect } from 'chai';
import { auditRows, call, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Call, Person } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('roles', () => {
  let gateway: Gateway;
  let person: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    await createPerson(gateway);
    person = await createPerson(gateway);
  });
  afterEach(() => gateway.close());
  const roles = (method: string, path = '', json?: unknown, by: Call = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, `/api/v1/admin/roles${path}`, { method, ...(json === undefined ? {} : { json }), ...by });
  const give = (role: string, more: object = {}): Promise<Answer> =>
    call(gateway, `/api/v1/admin/users/${person.id}`, {
      method: 'PATCH',
      json: { role, ...more },
      key: ADMIN_KEY,
    });
  const permissions = async (bearer: string): Promise<Record<string, unknown>> =>
    (await call(gateway, '/auth/permissions', { bearer })).body;
  const clerk = { name: 'clerk', scopes: ['sync:read', 'records:porosia:write'] };

  it('of the house are seven, with what they may do and how many have them', async () => {
    const { body } = await roles('GET');
    const list = body['roles'] as { name: string; builtIn: boolean; scopes: string[]; people: number }[];
    expect(list.map(({ name }) => name)).to.deep.equal([
      ...['owner', 'admin', 'operator', 'auditor', 'member', 'anonymous', 'service'],
    ]);
    expect(list.every(({ builtIn }) => builtIn)).to.equal(true);
    expect(list.find(({ name }) => name === 'owner')).to.include({ people: 1 });
  });

  it('of a tenant are made, given, changed and, when nobody has them, deleted', async () => {
    const made = await roles('POST', '', clerk);
    await give('clerk', { partitions: ['p1'] });
    const { access } = await logIn(gateway, person.username);
    const may = await permissions(access);
    expect(made.status).to.equal(201);
    expect(may).to.deep.include({
      role: 'clerk',
      permissions: clerk.scopes,
      partitions: { read: ['p1'], write: ['p1'] },
    });
    expect((await roles('DELETE', '/clerk')).body['code']).to.equal('role_in_use');
    await give('member');
    const invitation = { email: 'x@example.com', role: 'clerk' };
    await call(gateway, '/api/v1/admin/invitations', { json: invitation, key: ADMIN_KEY });
    expect((await roles('DELETE', '/clerk')).body['code']).to.equal('role_in_use');
    gateway.clock.advance(8 * 24 * 3_600_000);
    expect((await roles('DELETE', '/clerk')).status).to.equal(200);
    expect((await give('clerk')).body['code']).to.equal('invalid_request');
    const actions = ['role.created', 'role.deleted'];
    for (const action of actions) expect(await auditRows(gateway, action)).to.have.length(1);
  });

  it('/auth/permissions says until when a dangerous act needs no new proof', async () => {
    const before = gateway.clock();
    const { access } = await logIn(gateway, person.username);
    const until = Date.parse(String((await permissions(access))['fresh_until']));
    expect(until - before).to.be.within(600_000 - 2_000, 600_000 + 10_000);
    const machine = await token(gateway, await createClient(gateway));
    const may = await permissions(String(machine.body['access_token']));
    expect(may).to.include({ role: 'service', fresh_until: null });
    const key = await call(gateway, '/auth/permissions', { key: ADMIN_KEY });
    expect(key.body).to.deep.include({ permissions: ['admin'], fresh_until: null });
  });

  it('[S58] what a role loses is lost at the next event of an open socket, on every node', async () => {
    const second = await startGateway({ db: gateway.db, env: { PUBLIC_URL: gateway.url } });
    await roles('POST', '', clerk);
    await give('clerk');
    const { access } = await logIn(gateway, person.username);
    // what it knows already is old news
    await second.identity.core.revocations.poll();
    const here = await gateway.identity.authenticate(access);
    const there = await second.identity.authenticate(access);
    const told = [gateway, second].map(({ identity }) => {
      const calls: number[] = [];
      identity.sockets.register({
        sessionId: here.sessionId,
        principalKey: `user:${person.id}`,
        tenantId: 1,
        close: () => undefined,
        changed: () => void calls.push(1),
      });
      return calls;
    });
    await roles('PUT', '/clerk', { scopes: ['chat', 'records:porosia:write'] });
    // its hint went nowhere, its look finds it
    await second.identity.core.revocations.poll();
    const now = [await gateway.identity.current(here), await second.identity.current(there)];
    await second.close();
    expect(now.map(({ scopes }) => [...scopes])).to.deep.equal(Array(2).fill(['records:porosia:write']));
    expect(told.map(({ length }) => length > 0)).to.deep.equal([true, true]);
  });

  for (const name of ['owner', 'admin', 'member', 'anonymous', 'service'])
    it(`the built-in ${name} cannot be made, changed or deleted`, async () => {
      const answers = [
        await roles('POST', '', { name, scopes: ['admin'] }),
        await roles('PUT', `/${name}`, { scopes: ['admin'] }),
        await roles('DELETE', `/${name}`),
      ];
      expect(answers.map(({ status }) => status)).to.deep.equal([409, 403, 403]);
    });

  for (const name of ['', 'X', 'Clerk', 'a b', '__proto__', 'constructor!', 'a'.repeat(64)])
    it(`[S65] the name ${JSON.stringify(name.slice(0, 20))} is refused`, async () => {
      expect((await roles('POST', '', { name, scopes: [] })).status).to.equal(400);
    });

  it('[S65] a role called constructor has what it was given, and no role that does not exist has anything', async () => {
    await roles('POST', '', { name: 'constructor', scopes: ['chat'] });
    await give('constructor');
    const { access } = await logIn(gateway, person.username);
    expect((await permissions(access))['permissions']).to.deep.equal(['chat']);
    expect((await give('tostring')).status).to.equal(400);
  });

  it('[S54] nobody is given the role of a machine, and no role is made of a scope that there is not', async () => {
    expect([(await give('service')).status, (await give('anonymous')).status]).to.deep.equal([400, 400]);
    const odd = await roles('POST', '', { name: 'odd', scopes: ['everything'] });
    const extra = await roles('POST', '', { ...clerk, builtIn: true });
    expect([odd.status, extra.status]).to.deep.equal([400, 400]);
  });

  it('[S54] an administrator limited to partitions does not change what people hold elsewhere', async () => {
    await roles('POST', '', clerk);
    await give('clerk', { partitions: ['p2'] });
    const limited = await createClient(gateway, { scopes: ['admin'], partitions: ['p1'] });
    const bearer = { bearer: String((await token(gateway, limited)).body['access_token']) };
    const before = await roles('PUT', '/clerk', { scopes: ['sync:write'] }, bearer);
    await give('clerk', { partitions: ['p1'] });
    const after = await roles('PUT', '/clerk', { scopes: ['sync:write'] }, bearer);
    expect([before.body['code'], after.status]).to.deep.equal(['forbidden_partition', 200]);
  });

  it('[S54] who is no administrator makes none', async () => {
    const { access } = await logIn(gateway, person.username);
    const bearer = { bearer: access };
    const answers = [
      await roles('GET', '', undefined, bearer),
      await roles('POST', '', clerk, bearer),
      await roles('PUT', '/clerk', { scopes: ['admin'] }, bearer),
      await roles('DELETE', '/clerk', undefined, bearer),
    ];
    expect(answers.map(({ status }) => status)).to.deep.equal([403, 403, 403, 403]);
  });

  it('[S63] of one tenant are nothing in another', async () => {
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name: 'Second' } });
    const { id } = made.body['tenant'] as { id: number };
    await roles('POST', '', { ...clerk, tenantId: id });
    const here = (await roles('GET')).body['roles'] as { name: string }[];
    const there = (await roles('GET', `?tenantId=${id}`)).body['roles'] as { name: string }[];
    expect([here.some(({ name }) => name === 'clerk'), there.at(-1)!.name]).to.deep.equal([false, 'clerk']);
    expect((await give('clerk')).status).to.equal(400);
    expect((await roles('PUT', '/clerk', { scopes: [] })).status).to.equal(404);
    expect((await roles('DELETE', '/clerk')).status).to.equal(404);
  });
});
