import { expect } from 'chai';
import { auditRows, call, codeFor, createPerson, logIn, mailsTo, signUp } from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { codeOf, createGuarded, firstStep, secondStep } from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { watchStatements } from './support/statements.ts';

const MINUTE = 60_000;
const NEW = 'a quieter otter 77 lamp';

describe('a forgotten password', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const post = (path: string, json: unknown, more: Call = {}): Promise<Answer> =>
    call(gateway, path, { json, ...more });
  const forgot = (email: string, more: Call = {}): Promise<Answer> =>
    post('/api/password/forgot', { email }, more);
  const reset = (email: string, code: string, password = NEW): Promise<Answer> =>
    post('/api/password/reset', { email, code, password });
  const login = (username: string, password: string): Promise<Answer> =>
    post('/api/login', { username, password });
  const askForCode = async (email: string): Promise<string> => {
    await forgot(email);
    return codeFor(gateway, email);
  };
  const visible = ({ status, body, headers }: Answer): unknown => {
    const { requestId: _, ...rest } = body;
    return [status, rest, [...headers.keys()].sort().join(' ')];
  };

  it('[S21] is reset by a mailed code: every session and socket ends, the old password is dead, none is opened', async () => {
    const { username, email } = await createPerson(gateway);
    const { access, refresh } = await logIn(gateway, username);
    const closed: string[] = [];
    const me = await call(gateway, '/auth/me', { bearer: access });
    gateway.identity.sockets.register({
      sessionId: String(me.body['session_id']),
      principalKey: 'user:x',
      tenantId: 1,
      close: (code) => void closed.push(code),
    });
    const answer = await reset(email, await askForCode(email));
    const after = await call(gateway, '/auth/me', { bearer: access });
    const again = await post('/auth/refresh', { refresh_token: refresh });
    expect(answer.status, answer.text).to.equal(200);
    expect(answer.text).not.to.match(/token/);
    expect([after.body['code'], again.body['code'], closed]).to.deep.equal([
      'revoked',
      'revoked',
      ['revoked'],
    ]);
    expect((await login(username, PASSWORD)).status).to.equal(401);
    expect((await login(username, NEW)).status).to.equal(200);
    expect((await mailsTo(gateway, email))[0]!.subject).to.equal('Your Sluice password has changed');
  });

  it('[S39] is no way around the second factor, and ends a login that waits for it', async () => {
    const { person, secret } = await createGuarded(gateway);
    const halfDone = await firstStep(gateway, person.username);
    const code = await askForCode(person.email);
    const done = await reset(person.email, code);
    const late = await secondStep(gateway, halfDone, codeOf(gateway, secret));
    const again = await login(person.username, NEW);
    expect([done.status, late.status, again.body['code']]).to.deep.equal([200, 401, 'mfa_required']);
    const second = await secondStep(gateway, String(again.body['mfa_token']), codeOf(gateway, secret));
    expect(second.status).to.equal(200);
  });

  it('[S24] a code takes five tries, also when they come at once, and the right one is too late then', async () => {
    const { email } = await createPerson(gateway);
    const code = await askForCode(email);
    const { resetPassword } = await import('../../server/auth/passwords-change.ts');
    const guess = (value: string, i: number): Promise<string> =>
      resetPassword(gateway.identity.core, { email, code: value, password: NEW }, { ip: `10.0.${i}.1` }).then(
        () => 'ok',
        (error: unknown) => (error as { code: string }).code,
      );
    const wrong = Array.from({ length: 20 }, (_, i) => String(i).padStart(6, '0')).filter((v) => v !== code);
    const outcomes = await Promise.all(wrong.map(guess));
    const [row] = await gateway.db.sql<{ tries: number }>(
      `SELECT tries FROM one_time_codes WHERE purpose = 'reset_password'`,
    );
    expect(new Set(outcomes)).to.deep.equal(new Set(['invalid_code']));
    expect([row?.tries, await guess(code, 99)]).to.deep.equal([5, 'invalid_code']);
  });

  it('[S24] another code does not reset what was tried against an address in a day', async () => {
    const { email } = await createPerson(gateway);
    await askForCode(email);
    await gateway.db.sql(`UPDATE one_time_codes SET tries = 30 WHERE purpose = 'reset_password'`);
    const late = await reset(email, await askForCode(email));
    gateway.clock.advance(24.1 * 60 * MINUTE);
    const nextDay = await reset(email, await askForCode(email));
    expect([late.status, nextDay.status]).to.deep.equal([400, 200]);
  });

  it('[S24] guesses from one address get 429 with headers', async () => {
    const { email } = await createPerson(gateway);
    await askForCode(email);
    const answers = [];
    for (let i = 0; i < 6; i += 1) answers.push(await reset(email, '000000'));
    expect(answers.map(({ status }) => status)).to.deep.equal([400, 400, 400, 400, 400, 429]);
    expect(answers.at(-1)!.headers.get('x-ratelimit-remaining')).to.equal('0');
  });

  it('[S25] another code kills the one before, and no more than five mails an hour go to one address', async () => {
    const { email } = await createPerson(gateway);
    const old = await askForCode(email);
    for (let i = 0; i < 9; i += 1) await forgot(email);
    const mails = (await mailsTo(gateway, email)).filter(({ text }) => text.includes('new password'));
    const dead = await reset(email, old);
    const live = await reset(email, await codeFor(gateway, email));
    expect([mails.length, dead.status, live.status]).to.deep.equal([5, 400, 200]);
  });

  it('[S26] a code is bound to its purpose, its address and its account', async () => {
    const [one, two] = [await createPerson(gateway), await createPerson(gateway)];
    const pending = await signUp(gateway);
    const verification = await codeFor(gateway, pending.email);
    const code = await askForCode(one.email);
    await askForCode(two.email);
    const statuses = [
      await reset(two.email, code),
      await reset(pending.email, verification),
      await post('/api/verify-email', { email: one.email, code }),
      await post('/api/verify-email', { username: one.username, code }),
      await reset(one.email, code),
    ].map(({ status }) => status);
    expect(statuses).to.deep.equal([400, 400, 400, 400, 200]);
  });

  it('[S27] of ten parallel submissions of one code exactly one succeeds', async () => {
    const { email } = await createPerson(gateway);
    const code = await askForCode(email);
    const { resetPassword } = await import('../../server/auth/passwords-change.ts');
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        resetPassword(
          gateway.identity.core,
          { email, code, password: `${NEW} ${i}` },
          { ip: `10.1.${i}.1` },
        ).then(
          () => 'ok',
          (error: unknown) => (error as { code: string }).code,
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'ok')).to.have.length(1);
    expect((await auditRows(gateway, 'auth.password_reset')).filter(({ success }) => success)).to.have.length(
      1,
    );
  });

  it('[S28] a code lives ten minutes and not a second longer', async () => {
    const [one, two] = [await createPerson(gateway), await createPerson(gateway)];
    const [first, second] = [await askForCode(one.email), await askForCode(two.email)];
    gateway.clock.advance(10 * MINUTE - 10_000);
    const inTime = await reset(one.email, first);
    gateway.clock.advance(11_000);
    const late = await reset(two.email, second);
    expect([inTime.status, late.status]).to.deep.equal([200, 400]);
  });

  it('[S29] asking: known, unknown, unverified and disabled look alike and run the same statements', async () => {
    const known = await createPerson(gateway);
    const disabled = await createPerson(gateway);
    const pending = await signUp(gateway);
    await gateway.db.sql('UPDATE users SET disabled_at = now() WHERE id = $1', [disabled.id]);
    await mailsTo(gateway, known.email);
    const before = gateway.identity.keptMail!().length;
    const { statements, stop } = watchStatements(gateway);
    const seen: unknown[] = [];
    const counts: number[] = [];
    for (const email of [known.email, 'nobody@example.com', pending.email, disabled.email]) {
      statements.length = 0;
      seen.push(visible(await forgot(email)));
      counts.push(statements.filter((text) => /INSERT INTO (jobs|audit_logs)/.test(text)).length);
      await mailsTo(gateway, email);
    }
    stop();
    for (const answer of seen) expect(answer).to.deep.equal(seen[0]);
    expect(counts).to.deep.equal([2, 2, 2, 2]);
    expect(gateway.identity.keptMail!().length - before).to.equal(1);
  });

  it('[S29] resetting: an unknown address computes as many hashes as a wrong code, and looks alike', async () => {
    const { email } = await createPerson(gateway);
    await askForCode(email);
    const { passwords } = gateway.identity.core;
    const hash = passwords.hash.bind(passwords);
    let hashes = 0;
    passwords.hash = (password) => {
      hashes += 1;
      return hash(password);
    };
    const known = await reset(email, '000000');
    const afterKnown = hashes;
    const unknown = await reset('nobody@example.com', '000000');
    expect([afterKnown, hashes - afterKnown]).to.deep.equal([1, 1]);
    expect(visible(unknown)).to.deep.equal(visible(known));
  });

  it('[S31] [S34] a long password is refused before anything is hashed, a common one or the own name as well', async () => {
    const { email, username } = await createPerson(gateway, { username: 'Salamandra' });
    const code = await askForCode(email);
    const { passwords } = gateway.identity.core;
    const hash = passwords.hash.bind(passwords);
    let hashes = 0;
    passwords.hash = (password) => {
      hashes += 1;
      return hash(password);
    };
    const huge = await reset(email, code, 'a'.repeat(900_000));
    const short = await reset(email, code, 'short 7');
    const common = await reset(email, code, 'Password123!');
    expect([huge.status, short.status, hashes]).to.deep.equal([400, 400, 0]);
    const own = await reset(email, code, username.toUpperCase());
    const good = await reset(email, code);
    expect([common, own].map(({ body }) => body['code'])).to.deep.equal([
      'password_refused',
      'password_refused',
    ]);
    // a refused password does not use the code up
    expect(good.status).to.equal(200);
  });

  it('[S32] a forged Host does not reach the mail, and no address with CR LF is taken', async () => {
    const { email } = await createPerson(gateway);
    await forgot(email, { headers: { 'x-forwarded-host': 'evil.example' } });
    const [mail] = await mailsTo(gateway, email);
    expect(mail!.text).to.include(gateway.url).and.not.include('evil');
    for (const bad of [`${email}\r\nBcc: x@example.com`, `${email}\n`, '"a\r\n"@example.com']) {
      expect((await forgot(bad)).body['code']).to.equal('invalid_request');
      expect((await reset(bad, '123456')).body['code']).to.equal('invalid_request');
    }
  });

  it('[S33] an address in other case or width is the same address', async () => {
    const { email } = await createPerson(gateway, { email: 'Otter@Example.com' });
    await forgot('OTTER@example.COM');
    const answer = await reset('otter@EXAMPLE.com', await codeFor(gateway, email));
    expect(answer.status).to.equal(200);
  });

  it('[S54] fields that could grant something are refused', async () => {
    const { email } = await createPerson(gateway);
    const code = await askForCode(email);
    const json = { email, code, password: NEW, role: 'owner' };
    expect((await post('/api/password/reset', json)).status).to.equal(400);
  });

  it('[S61] leaves one audit row each, failures too, and no code and no password in any log', async () => {
    const { email, id } = await createPerson(gateway);
    const code = await askForCode(email);
    await reset(email, '000000');
    await reset(email, code);
    const rows = await auditRows(gateway, 'auth.password_reset');
    expect(await auditRows(gateway, 'auth.password_forgot')).to.have.length(1);
    expect(rows.map(({ success, principal }) => [success, principal])).to.deep.equal([
      [false, `user:${id}`],
      [true, `user:${id}`],
    ]);
    const everything = gateway.logged() + JSON.stringify(await gateway.db.sql('SELECT * FROM audit_logs'));
    expect(everything).to.not.include(code).and.not.include(NEW);
  });

  it('[S63] a code of one tenant says nothing in another', async () => {
    const { email } = await createPerson(gateway);
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name: 'Second' } });
    const { id } = made.body['tenant'] as { id: number };
    const code = await askForCode(email);
    const json = { email, code, password: NEW, tenant_id: id };
    const elsewhere = await post('/api/password/reset', json);
    const nowhere = await post('/api/password/reset', { ...json, tenant_id: 77 });
    await post('/api/password/forgot', { email, tenant_id: 77 });
    expect([elsewhere.status, nowhere.status, (await reset(email, code)).status]).to.deep.equal([
      400, 400, 200,
    ]);
  });
});
