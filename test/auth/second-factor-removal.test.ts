import { expect } from 'chai';
import {
  auditRows,
  call,
  clientTokens,
  createClient,
  createPerson,
  logIn,
  mailsTo,
} from './support/client.ts';
import type { Answer, Person, Tokens } from './support/client.ts';
import {
  askToRegister,
  authenticatorAt,
  codeOf,
  createGuarded,
  enableTotp,
  firstStep,
  logInTwice,
  registerPasskey,
  secondStep,
} from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;
const outcome = ({ status, body }: Answer): unknown => body['code'] ?? status;

describe('second factors that an administrator turns off', () => {
  let gateway: Gateway;
  let owner: Person & Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    owner = await createLoggedIn();
  });
  afterEach(() => gateway.close());

  const createLoggedIn = async (role?: string): Promise<Person & Tokens> => {
    const person = await createPerson(gateway);
    if (role !== undefined) await giveRole(person.id, { role });
    return { ...person, ...(await logIn(gateway, person.username)) };
  };
  const giveRole = (id: string, json: object): Promise<Answer> =>
    call(gateway, `/api/v1/admin/users/${id}`, { method: 'PATCH', json, key: ADMIN_KEY });
  const remove = (id: string, by: { bearer?: string; key?: string }): Promise<Answer> =>
    call(gateway, `/api/v1/admin/users/${id}/second-factors`, { method: 'DELETE', ...by });
  const left = async (userId: string): Promise<number[]> => {
    const tables = ['totp_secrets', 'passkeys', 'recovery_codes', 'mfa_tokens'];
    const counts = tables.map((table) =>
      gateway.db.sql<{ n: number }>(`SELECT count(*)::integer AS n FROM ${table} WHERE user_id = $1`, [
        userId,
      ]),
    );
    return (await Promise.all(counts)).map(([row]) => row!.n);
  };

  it('[S39] all of them go, with recovery codes and half-done logins, and the password alone logs in', async () => {
    const who = await createGuarded(gateway);
    const bearer = who.tokens.access;
    await call(gateway, '/api/reauthenticate', { json: { code: codeOf(gateway, who.secret) }, bearer });
    const { id: passkey } = await registerPasskey(gateway, bearer);
    const halfway = await firstStep(gateway, who.person.username);
    const { status, body } = await remove(who.person.id, { bearer: owner.access });
    expect(passkey).to.be.a('string');
    expect([status, body['removed']]).to.deep.equal([200, { totp: true, passkeys: 1 }]);
    expect(await left(who.person.id)).to.deep.equal([0, 0, 0, 0]);
    gateway.clock.advance(30_000);
    expect(outcome(await secondStep(gateway, halfway, codeOf(gateway, who.secret)))).to.equal(
      'invalid_token',
    );
    const login = await call(gateway, '/api/login', {
      json: { username: who.person.username, password: PASSWORD },
    });
    expect(outcome(login)).to.equal(200);
  });

  it('[S21] ends every session of the person, in the same moment, and nobody else’s', async () => {
    const who = await createGuarded(gateway);
    const second = await logInTwice(gateway, who, codeOf(gateway, who.secret));
    const { body } = await remove(who.person.id, { bearer: owner.access });
    const me = (bearer: string): Promise<Answer> => call(gateway, '/auth/me', { bearer });
    expect(body['ended']).to.equal(2);
    for (const token of [who.tokens.access, String(second.body['access_token'])])
      expect(outcome(await me(token))).to.equal('revoked');
    const renewed = await call(gateway, '/auth/refresh', { json: { refresh_token: who.tokens.refresh } });
    expect(renewed.status).to.equal(401);
    expect(outcome(await me(owner.access))).to.equal(200);
  });

  it('[S61] leaves an audit row with who did it to whom, and tells the person by mail', async () => {
    const who = await createGuarded(gateway);
    await remove(who.person.id, { bearer: owner.access });
    const [row, ...others] = await auditRows(gateway, 'user.second_factors_removed');
    expect(others).to.deep.equal([]);
    expect(row).to.deep.include({ success: true, principal: `user:${owner.id}` });
    expect(row!.details).to.deep.equal({ user: who.person.id, totp: true, passkeys: 0 });
    const [mail] = await mailsTo(gateway, who.person.email);
    expect(mail!.text).to.include(`the administrator "${owner.username}"`).and.include('password alone');
    expect(await auditRows(gateway, 'session.revoked')).to.have.length(1);
  });

  it('[S38] wants a proof of the last ten minutes, by a second factor of the administrator’s where there is one', async () => {
    const who = await createGuarded(gateway);
    gateway.clock.advance(10 * MINUTE + 1);
    const stale = await remove(who.person.id, { bearer: owner.access });
    const prove = (json: object): Promise<Answer> =>
      call(gateway, '/api/reauthenticate', { json, bearer: owner.access });
    await prove({ password: PASSWORD });
    const { secret } = await enableTotp(gateway, owner.access);
    const byPassword = await remove(who.person.id, { bearer: owner.access });
    await prove({ code: codeOf(gateway, secret) });
    const byFactor = await remove(who.person.id, { bearer: owner.access });
    expect(stale.body).to.deep.include({ code: 'reauthentication_required', methods: ['password'] });
    expect(byPassword.body).to.deep.include({
      code: 'reauthentication_required',
      methods: ['totp', 'recovery'],
    });
    expect(outcome(byFactor)).to.equal(200);
  });

  it('[S38] nobody goes this way about their own: that takes a code', async () => {
    const { secret } = await enableTotp(gateway, owner.access);
    await call(gateway, '/api/reauthenticate', {
      json: { code: codeOf(gateway, secret) },
      bearer: owner.access,
    });
    expect(outcome(await remove(owner.id, { bearer: owner.access }))).to.equal('forbidden');
    expect((await left(owner.id))[0]).to.equal(1);
  });

  it('[S54] somebody of lower rank cannot: only an owner for an owner, nobody for who holds more', async () => {
    const admin = await createLoggedIn('admin');
    const small = await createLoggedIn('member');
    await call(gateway, '/api/v1/admin/roles', {
      json: { name: 'desk', scopes: ['admin'] },
      key: ADMIN_KEY,
    });
    const desk = await createLoggedIn('desk');
    await enableTotp(gateway, owner.access);
    const who = await createGuarded(gateway);
    await giveRole(who.person.id, { partitions: ['p1'] });
    expect(outcome(await remove(owner.id, { bearer: admin.access }))).to.equal('forbidden');
    expect(outcome(await remove(who.person.id, { bearer: small.access }))).to.equal('forbidden');
    expect(outcome(await remove(who.person.id, { bearer: desk.access }))).to.equal('forbidden_partition');
    expect([(await left(owner.id))[0], (await left(who.person.id))[0]]).to.deep.equal([1, 1]);
    expect(await auditRows(gateway, 'user.second_factors_removed')).to.deep.equal([]);
    expect(outcome(await remove(who.person.id, { bearer: admin.access }))).to.equal(200);
  });

  it('is for a person at a fresh login: no key, no client, no terminal that was let in', async () => {
    const who = await createGuarded(gateway);
    const client = await createClient(gateway, { scopes: ['admin'], partitions: ['*'] });
    const { access } = await clientTokens(gateway, client);
    await gateway.db.sql(`UPDATE sessions SET authenticated_at = 'epoch', amr = '{}', client_id = 'sluice-cli'
                          WHERE principal_id = '${owner.id}'`);
    gateway.clock.advance(6_000);
    const answers = [
      await remove(who.person.id, { key: ADMIN_KEY }),
      await remove(who.person.id, { bearer: access }),
      await remove(who.person.id, { bearer: owner.access }),
    ];
    expect(answers.map(outcome)).to.deep.equal(['forbidden', 'forbidden', 'reauthentication_required']);
  });

  it('[S63] who has none, is unknown, or lives in another tenant is not found', async () => {
    const none = await createLoggedIn();
    const { body } = await call(gateway, '/api/v1/admin/tenants', { json: { name: 'Two' }, key: ADMIN_KEY });
    const tenantId = (body['tenant'] as { id: number }).id;
    const elsewhere = '6f1c0000-0000-4000-8000-000000000000';
    await gateway.db.sql(
      `INSERT INTO users SELECT (json_populate_record(u, json_build_object('tenant_id', $1::int, 'id', $2::uuid))).*
       FROM users u WHERE id = $3`,
      [tenantId, elsewhere, none.id],
    );
    await gateway.db.sql(
      `INSERT INTO totp_secrets (tenant_id, user_id, secret, created_at, confirmed_at) VALUES ($1, $2, '', now(), now())`,
      [tenantId, elsewhere],
    );
    const answers = [
      await remove(none.id, { bearer: owner.access }),
      await remove(elsewhere, { bearer: owner.access }),
      await remove(crypto.randomUUID(), { bearer: owner.access }),
    ];
    expect(answers.map(outcome)).to.deep.equal(['not_found', 'not_found', 'not_found']);
    expect(outcome(await call(gateway, '/auth/me', { bearer: none.access }))).to.equal(200);
    expect((await left(elsewhere))[0]).to.equal(1);
  });

  /** What adds to somebody's factors, from one of their sessions. */
  const additions: Record<string, (bearer: string) => Promise<() => Promise<Answer>>> = {
    'a passkey': async (bearer) => {
      const response = authenticatorAt(gateway).create(await askToRegister(gateway, bearer));
      const json = { response, name: 'Another' };
      return () => call(gateway, '/api/passkeys/register', { json, bearer });
    },
    'a set of recovery codes': (bearer) =>
      Promise.resolve(() => call(gateway, '/api/mfa/recovery-codes', { json: {}, bearer })),
  };
  for (const [what, prepare] of Object.entries(additions)) {
    for (const first of ['addition', 'removal'] as const) {
      it(`[S18] ${what} from a session that ends does not outlive it, the ${first} coming first`, async () => {
        const who = await createGuarded(gateway);
        const bearer = who.tokens.access;
        await call(gateway, '/api/reauthenticate', { json: { code: codeOf(gateway, who.secret) }, bearer });
        const add = await prepare(bearer);
        const acts = [add, () => remove(who.person.id, { bearer: owner.access })];
        if (first === 'removal') acts.reverse();
        const answers = await whileMailWaits(acts);
        if (first === 'removal') answers.reverse();
        const [added, removed] = answers.map(outcome);
        expect(removed).to.equal(200);
        expect(added).to.be.oneOf(first === 'removal' ? ['revoked'] : [200, 201]);
        expect(await left(who.person.id)).to.deep.equal([0, 0, 0, 0]);
      });
    }
  }

  /** Both write a mail at their end: with that held up, each goes as far as the other lets it. */
  const whileMailWaits = async (acts: (() => Promise<Answer>)[]): Promise<Answer[]> => {
    const running: Promise<Answer>[] = [];
    await gateway.db.transaction(async ({ sql }) => {
      await sql('LOCK TABLE jobs IN EXCLUSIVE MODE');
      for (const act of acts) {
        running.push(act());
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    });
    return Promise.all(running);
  };
});
