import { expect } from 'chai';
import { auditRows, call, codeFor, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const NEW = 'a quieter otter 77 lamp';

describe('a change of password', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const login = (username: string, password: string): Promise<Answer> =>
    call(gateway, '/api/login', { json: { username, password } });
  const change = (bearer: string, current: string, next = NEW): Promise<Answer> =>
    call(gateway, '/api/password/change', {
      json: { current_password: current, new_password: next },
      bearer,
    });

  it('[S21] ends the other sessions and keeps the one that asked', async () => {
    const { username, email } = await createPerson(gateway);
    const [mine, other] = [await logIn(gateway, username), await logIn(gateway, username)];
    const answer = await change(mine.access, PASSWORD);
    const states = await Promise.all(
      [mine, other].map(async ({ access }) => (await call(gateway, '/auth/me', { bearer: access })).status),
    );
    expect([answer.status, answer.body['ended'], states]).to.deep.equal([200, 1, [200, 401]]);
    expect((await login(username, NEW)).status).to.equal(200);
    expect((await mailsTo(gateway, email))[0]!.subject).to.include('password has changed');
  });

  it('to the one there is is refused, and changes nothing', async () => {
    const { username } = await createPerson(gateway);
    const [mine, other] = [await logIn(gateway, username), await logIn(gateway, username)];
    const answer = await change(mine.access, PASSWORD, PASSWORD);
    expect([answer.status, answer.body['code']]).to.deep.equal([400, 'password_refused']);
    expect(answer.body['detail']).to.equal('Both passwords are the same: choose another one.');
    expect((await call(gateway, '/auth/me', { bearer: other.access })).status).to.equal(200);
  });

  it('[S21] a login with the old password that was under way leaves no session', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const { passwords } = gateway.identity.core;
    const verify = passwords.verify.bind(passwords);
    let changed: Promise<Answer> | undefined;
    passwords.verify = async (stored, password) => {
      const matches = await verify(stored, password);
      if (changed === undefined) {
        // the change overtakes the login between its check and its session
        changed = change(access, PASSWORD);
        await changed;
      }
      return matches;
    };
    const late = await login(username, PASSWORD);
    expect([(await changed!).status, late.status]).to.deep.equal([200, 401]);
    const live = await gateway.db.sql('SELECT 1 FROM sessions WHERE revoked_at IS NULL');
    expect(live).to.have.length(1);
  });

  it('[S30] guesses at the present password count together with those of a login', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const statuses = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await change(access, `wrong ${i}`)).status);
    for (let i = 0; i < 2; i += 1) statuses.push((await login(username, `wrong ${i}`)).status);
    statuses.push((await change(access, PASSWORD)).status, (await login(username, PASSWORD)).status);
    expect(statuses).to.deep.equal([401, 401, 401, 401, 401, 429, 429]);
  });

  it('[S30] strangers who fail at the login keep nobody from changing the password where it was used before', async () => {
    await gateway.close();
    gateway = await startGateway({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT_ACCOUNT: '10' } });
    const { username } = await createPerson(gateway);
    const from = (ip: string): Record<string, string> => ({ 'x-forwarded-for': ip });
    const loginFrom = (ip: string, password: string): Promise<Answer> =>
      call(gateway, '/api/login', { json: { username, password }, headers: from(ip) });
    const bearer = String((await loginFrom('192.0.2.1', PASSWORD)).body['access_token']);
    for (let i = 0; i < 12; i += 1) await loginFrom(`198.51.100.${i}`, `wrong ${i}`);
    const changeFrom = (ip: string): Promise<Answer> =>
      call(gateway, '/api/password/change', {
        json: { current_password: PASSWORD, new_password: NEW },
        ...{ bearer, headers: from(ip) },
      });
    const elsewhere = await changeFrom('203.0.113.9');
    expect([elsewhere.status, (await changeFrom('192.0.2.1')).status]).to.deep.equal([429, 200]);
  });

  it('[S30] says how many guesses are left, as a login does', async () => {
    const { username } = await createPerson(gateway);
    const { headers } = await change((await logIn(gateway, username)).access, 'wrong');
    const names = ['x-ratelimit-limit', 'x-ratelimit-remaining'];
    expect(names.map((name) => headers.get(name))).to.deep.equal(['5', '4']);
  });

  it('[S27] of parallel changes one wins', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const answers = await Promise.all(['one', 'two', 'three'].map((n) => change(access, PASSWORD, NEW + n)));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
  });

  it('[S34] is refused for a common one, and a code to reset is dead afterwards', async () => {
    const { username, email } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    await call(gateway, '/api/password/forgot', { json: { email } });
    const code = await codeFor(gateway, email);
    const refused = await change(access, PASSWORD, 'Password123!');
    await change(access, PASSWORD);
    const json = { email, code, password: 'yet another otter 3' };
    const late = await call(gateway, '/api/password/reset', { json });
    expect([refused.body['code'], late.body['code']]).to.deep.equal(['password_refused', 'invalid_code']);
  });

  it('[S61] leaves one audit row each, failures too', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    await change(access, 'wrong');
    await change(access, PASSWORD);
    const rows = await auditRows(gateway, 'auth.password_change');
    expect(rows.map(({ success, code }) => [success, code])).to.deep.equal([
      [false, 'invalid_credentials'],
      [true, null],
    ]);
  });
});
