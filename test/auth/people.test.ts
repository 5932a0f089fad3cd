import { expect } from 'chai';
import { consumeCode } from '../../server/auth/one-time-codes.ts';
import { auditRows, call, codeFor, createPerson, logIn, mailsTo, signUp } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const HOUR = 3_600_000;

describe('people', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('the first is told that there is nobody yet, and nobody after them is told anything', async () => {
    const first = async (): Promise<unknown> => (await call(gateway, '/api/signup')).body['first'];
    const { email, username } = await signUp(gateway);
    expect(await first()).to.equal(true);
    await call(gateway, '/api/verify-email', { json: { username, code: await codeFor(gateway, email) } });
    expect([await first(), await first()]).to.deep.equal([false, false]);
    const closed = await startGateway({ env: { SIGNUP: 'closed' } });
    expect((await call(closed, '/api/signup')).body['first']).to.equal(false);
    await closed.close();
  });

  it('sign up, verify, log in by username or e-mail, and see who they are', async () => {
    const ana = await createPerson(gateway, { username: 'Ana', email: 'Ana@Example.com' });
    const byName = await call(gateway, '/api/login', { json: { username: 'ana', password: PASSWORD } });
    const byMail = await call(gateway, '/auth/login', {
      json: { email: 'ana@example.COM', password: PASSWORD },
    });
    const me = await call(gateway, '/auth/me', { bearer: String(byMail.body['token']) });
    expect(byName.body).to.include({
      success: true,
      token_type: 'Bearer',
      expires_in: 900,
      refresh_expires_in: 604_800,
    });
    expect(byName.body['user']).to.deep.equal({
      id: ana.id,
      username: 'Ana',
      email: 'Ana@Example.com',
      role: 'owner',
    });
    expect(me.body['user']).to.include({
      id: ana.id,
      kind: 'user',
      username: 'Ana',
      role: 'owner',
      tenant_id: 1,
    });
    expect(me.body['partitions']).to.deep.equal({ read: ['*'], write: ['*'] });
  });

  it('the first verified person becomes owner, also when several verify at once; later ones are members', async () => {
    const made = await Promise.all([1, 2, 3, 4].map(() => signUp(gateway)));
    const codes = await Promise.all(made.map((person) => codeFor(gateway, person.email)));
    await Promise.all(
      made.map((person, i) =>
        call(gateway, '/api/verify-email', { json: { email: person.email, code: codes[i] } }),
      ),
    );
    const late = await createPerson(gateway);
    const rows = await gateway.db.sql<{ id: string; role: string }>(
      'SELECT id, role FROM users ORDER BY role',
    );
    expect(rows.map((row) => row.role)).to.deep.equal(['member', 'member', 'member', 'member', 'owner']);
    const me = await call(gateway, '/auth/me', { bearer: (await logIn(gateway, late.username)).access });
    expect(me.body).to.deep.include({ scopes: ['sync:read', 'chat'], partitions: { read: [], write: [] } });
  });

  it('cannot log in before the address is verified, and are told so only with the right password', async () => {
    const { username } = await signUp(gateway);
    const right = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
    const wrong = await call(gateway, '/api/login', { json: { username, password: 'not the password' } });
    expect([right.status, right.body['code']]).to.deep.equal([403, 'email_not_verified']);
    expect([wrong.status, wrong.body['code']]).to.deep.equal([401, 'invalid_credentials']);
  });

  it('log out: the access token, the refresh token and the session are dead at once', async () => {
    const { username } = await createPerson(gateway);
    const tokens = await logIn(gateway, username);
    await call(gateway, '/auth/logout', { method: 'POST', bearer: tokens.access });
    const me = await call(gateway, '/auth/me', { bearer: tokens.access });
    const again = await call(gateway, '/auth/refresh', { json: { refresh_token: tokens.refresh } });
    expect([me.status, me.body['code']]).to.deep.equal([401, 'revoked']);
    expect([again.status, again.body['code']]).to.deep.equal([401, 'revoked']);
    expect(await auditRows(gateway, 'auth.logout')).to.have.length(1);
  });

  it('[S20] every login opens a session of its own', async () => {
    const { username } = await createPerson(gateway);
    const [first, second] = [await logIn(gateway, username), await logIn(gateway, username)];
    const ids = await Promise.all(
      [first, second].map(
        async (t) => (await call(gateway, '/auth/me', { bearer: t.access })).body['session_id'],
      ),
    );
    expect(ids[0]).not.to.equal(ids[1]);
  });

  it('[S24] a code takes five tries, counted also when they come at once, and the right one is too late then', async () => {
    const { email } = await signUp(gateway);
    const code = await codeFor(gateway, email);
    const core = gateway.identity.core;
    const { verifyEmail } = await import('../../server/auth/accounts.ts');
    const guess = (value: string): Promise<string> =>
      verifyEmail(core, { email, code: value }, {}).then(
        () => 'ok',
        (error: unknown) => (error as { code: string }).code,
      );
    const wrong = Array.from({ length: 30 }, (_, i) => String(i).padStart(6, '0')).filter(
      (value) => value !== code,
    );
    const outcomes = await Promise.all(wrong.map(guess));
    const [row] = await gateway.db.sql<{ tries: number }>('SELECT tries FROM one_time_codes');
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_code']));
    expect([row?.tries, await guess(code)]).to.deep.equal([5, 'invalid_code']);
  });

  it('[S24] a resend does not reset what was tried against an address in a day', async () => {
    const { email } = await signUp(gateway);
    await gateway.db.sql('UPDATE one_time_codes SET tries = 30');
    await call(gateway, '/api/resend-verification', { json: { email } });
    const code = await codeFor(gateway, email);
    const answer = await call(gateway, '/api/verify-email', { json: { email, code } });
    expect([answer.status, answer.body['code']]).to.deep.equal([400, 'invalid_code']);
    gateway.clock.advance(24.1 * HOUR);
    await call(gateway, '/api/resend-verification', { json: { email } });
    const later = { email, code: await codeFor(gateway, email) };
    expect((await call(gateway, '/api/verify-email', { json: later })).status).to.equal(200);
  });

  it('[S24] five wrong codes from one address get 429 with Retry-After and limit headers', async () => {
    const { email } = await signUp(gateway);
    const answers = [];
    for (let i = 0; i < 6; i += 1) {
      answers.push(await call(gateway, '/api/verify-email', { json: { email, code: '000000' } }));
    }
    const last = answers.at(-1)!;
    expect(answers.map((answer) => answer.status)).to.deep.equal([400, 400, 400, 400, 400, 429]);
    expect(Number(last.headers.get('retry-after'))).to.be.within(1, 900);
    expect(last.headers.get('x-ratelimit-limit')).to.equal('5');
    expect(last.headers.get('x-ratelimit-remaining')).to.equal('0');
  });

  it('[S25] a resend kills the old code, and no more than five mails an hour go to one address', async () => {
    const { email } = await signUp(gateway);
    const old = await codeFor(gateway, email);
    for (let i = 0; i < 9; i += 1) await call(gateway, '/api/resend-verification', { json: { email } });
    const mails = await mailsTo(gateway, email);
    const dead = await call(gateway, '/api/verify-email', { json: { email, code: old } });
    const live = await call(gateway, '/api/verify-email', {
      json: { email, code: await codeFor(gateway, email) },
    });
    expect(mails).to.have.length(5);
    expect([dead.status, live.status]).to.deep.equal([400, 200]);
  });

  it('[S26] a code is good for its own address only', async () => {
    const [one, two] = [await signUp(gateway), await signUp(gateway)];
    const code = await codeFor(gateway, one.email);
    const stolen = await call(gateway, '/api/verify-email', { json: { email: two.email, code } });
    const byName = await call(gateway, '/api/verify-email', { json: { username: two.username, code } });
    expect([stolen.status, byName.status]).to.deep.equal([400, 400]);
  });

  const pendingTwice = async (
    email: string,
  ): Promise<{ victim: string; codeOf: (name: string) => string }> => {
    const victim = await signUp(gateway, { username: 'vera', email });
    await signUp(gateway, { username: 'mallory', email, password: 'mallory waits here' });
    const mails = await mailsTo(gateway, email);
    const mailOf = (name: string): string => mails.find(({ text }) => text.includes(`"${name}"`))!.text;
    return { victim: victim.id, codeOf: (name) => /\b\d{6}\b/.exec(mailOf(name))![0] };
  };
  const verify = (json: unknown): Promise<Answer> => call(gateway, '/api/verify-email', { json });

  it('[S26] two sign-ups for one address: the address alone names neither, whichever code is typed in', async () => {
    const email = 'shared@example.com';
    const { codeOf } = await pendingTwice(email);
    const answers = [];
    for (const name of ['mallory', 'vera']) answers.push(await verify({ email, code: codeOf(name) }));
    answers.push(await verify({ email: 'nobody@example.com', code: '123456' }));
    expect(answers.map(({ body }) => body['code'])).to.deep.equal(Array(3).fill('invalid_code'));
    expect(new Set(answers.map(({ body }) => body['message'])).size).to.equal(1);
    expect(answers[0]!.body['message']).to.include('username');
    const [row] = await gateway.db.sql('SELECT sum(tries)::integer AS tries FROM one_time_codes');
    expect(row).to.deep.equal({ tries: 0 });
  });

  it('[S26] two sign-ups for one address: username and code go together, and whoever they name has the address', async () => {
    const email = 'shared@example.com';
    const { victim, codeOf } = await pendingTwice(email);
    const hijack = await verify({ username: 'vera', code: codeOf('mallory') });
    const verified = await verify({ username: 'vera', code: codeOf('vera') });
    const late = await verify({ username: 'mallory', code: codeOf('mallory') });
    const theirs = await call(gateway, '/api/login', { json: { email, password: 'mallory waits here' } });
    const mine = await call(gateway, '/api/login', { json: { email, password: PASSWORD } });
    expect([hijack, verified, late, theirs, mine].map(({ status }) => status)).to.deep.equal([
      400, 200, 400, 403, 200,
    ]);
    expect((mine.body['user'] as { id: string }).id).to.equal(victim);
  });

  it('[S27] of ten parallel submissions of one code exactly one succeeds', async () => {
    const { email } = await signUp(gateway);
    const code = await codeFor(gateway, email);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => call(gateway, '/api/verify-email', { json: { email, code } })),
    );
    expect(answers.filter((answer) => answer.status === 200)).to.have.length(1);
    expect((await auditRows(gateway, 'auth.verify_email')).filter((row) => row.success)).to.have.length(1);
  });

  it('[S27] a code is used up by one statement: of ten that try it with nothing between them one gets it', async () => {
    const { id, email } = await signUp(gateway);
    const { core } = gateway.identity;
    const attempt = { tenantId: 1, purpose: 'verify_email', userId: id, emailKey: email } as const;
    const code = await codeFor(gateway, email);
    const tries = Array.from({ length: 10 }, () => consumeCode(core, core.db.sql, { ...attempt, code }));
    expect((await Promise.all(tries)).filter((userId) => userId === id)).to.have.length(1);
  });

  it('[S28] a code lives 24 hours and not a second longer', async () => {
    const [one, two] = [await signUp(gateway), await signUp(gateway)];
    const [first, second] = [await codeFor(gateway, one.email), await codeFor(gateway, two.email)];
    gateway.clock.advance(24 * HOUR - 10_000);
    const inTime = await call(gateway, '/api/verify-email', { json: { email: one.email, code: first } });
    gateway.clock.advance(11_000);
    const late = await call(gateway, '/api/verify-email', { json: { email: two.email, code: second } });
    expect([inTime.status, late.status]).to.deep.equal([200, 400]);
  });

  it('[S63] nobody but administrators sees or changes people', async () => {
    await createPerson(gateway);
    const member = await createPerson(gateway);
    const { access } = await logIn(gateway, member.username);
    const list = await call(gateway, '/api/v1/admin/users', { bearer: access });
    const json = { role: 'owner' };
    const rise = await call(gateway, `/api/v1/admin/users/${member.id}`, {
      method: 'PATCH',
      json,
      bearer: access,
    });
    const logs = await call(gateway, '/audit/logs', { bearer: access });
    expect([list.status, rise.status, logs.status]).to.deep.equal([403, 403, 403]);
  });
});
