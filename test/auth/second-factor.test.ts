import { expect } from 'chai';
import { AppError } from '../../protocol/errors.ts';
import { auditRows, call, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import {
  STEP_MS,
  codeOf,
  createGuarded,
  firstStep,
  logInTwice,
  secondStep,
  wrongCodeOf,
} from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

const MINUTE = 60_000;
const codes = (answers: Answer[]): unknown[] => answers.map(({ body }) => body['code'] ?? 'ok');

describe('second factor', () => {
  let gateway: Gateway;
  const start = async (options: GatewayOptions = {}): Promise<void> => {
    await gateway.close();
    gateway = await startGateway(options);
  };
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('codes of an app are turned on with a QR code, and asked for at every login from then on', async () => {
    const { username, email } = await createPerson(gateway);
    const { access: bearer } = await logIn(gateway, username);
    const { body } = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    const before = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
    const secret = String(body['secret']);
    const json = { code: codeOf(gateway, secret) };
    const confirmed = await call(gateway, '/api/mfa/totp/confirm', { json, bearer });
    const due = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
    gateway.clock.advance(STEP_MS);
    const done = await secondStep(gateway, String(due.body['mfa_token']), codeOf(gateway, secret));
    expect(body['otpauth_uri']).to.match(
      /^otpauth:\/\/totp\/Sluice.*secret=[A-Z2-7]{32}&.*digits=6&period=30/,
    );
    expect(body['qr_svg']).to.match(/^<svg [\s\S]*<\/svg>\s*$/);
    expect(before.status).to.equal(200);
    expect(new Set(confirmed.body['recovery_codes'] as string[]).size).to.equal(10);
    expect([due.status, due.body['code'], due.body['access_token']]).to.deep.equal([
      401,
      'mfa_required',
      undefined,
    ]);
    expect(due.body['methods']).to.deep.equal(['totp', 'recovery']);
    expect(due.headers.get('cache-control')).to.equal('no-store');
    expect(done.body).to.include({ success: true, token_type: 'Bearer', expires_in: 900 });
    expect((done.body['user'] as { username: string }).username).to.equal(username);
    const [mail] = await mailsTo(gateway, email);
    expect(mail!.text).to.include('a second factor was added');
  });

  it('[S20] the second step opens a session of its own, which says how it was proved', async () => {
    const who = await createGuarded(gateway);
    const { body } = await logInTwice(gateway, who, codeOf(gateway, who.secret));
    const me = await call(gateway, '/auth/me', { bearer: String(body['access_token']) });
    const before = await call(gateway, '/auth/me', { bearer: who.tokens.access });
    expect(me.body['session_id']).not.to.equal(before.body['session_id']);
    const [row] = await gateway.db.sql('SELECT amr FROM sessions WHERE id = $1', [me.body['session_id']]);
    expect(row).to.deep.equal({ amr: ['pwd', 'otp'] });
  });

  it('[S37][S8] before the second factor there is no session, and its token opens nothing else', async () => {
    const who = await createGuarded(gateway);
    const count = async (): Promise<unknown> => (await gateway.db.sql('SELECT 1 FROM sessions')).length;
    const sessions = await count();
    const token = await firstStep(gateway, who.person.username);
    expect(await count()).to.equal(sessions);
    const routes = [
      '/auth/me',
      '/api/mfa',
      '/api/passkeys',
      '/api/sessions',
      '/audit/logs',
      '/api/v1/admin/users',
    ];
    const gets = await Promise.all(routes.map((route) => call(gateway, route, { bearer: token })));
    const posts = await Promise.all([
      call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer: token }),
      call(gateway, '/api/mfa/totp/disable', { json: { code: who.recoveryCodes[0] }, bearer: token }),
      call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer: token }),
      call(gateway, '/auth/refresh', { json: { refresh_token: token } }),
      call(gateway, '/auth/logout', { method: 'POST', bearer: token }),
      call(gateway, '/oauth/token', {
        form: {
          grant_type: 'refresh_token',
          refresh_token: token,
          client_id: 'slc_1_0123456789abcdefghijkl',
        },
      }),
    ]);
    const authenticated = [...gets, ...posts].filter(({ status }) => status < 400);
    expect(authenticated.map(({ text }) => text)).to.deep.equal([]);
    expect(codes([gets[0]!, gets[1]!, gets[2]!])).to.deep.equal(Array(3).fill('invalid_token'));
    const refusal = await gateway.identity.authenticate(token).catch((error: unknown) => error);
    expect(refusal).to.include({ code: 'invalid_token' });
  });

  it('[S37] the token is good once, for five minutes, and five answers', async () => {
    const who = await createGuarded(gateway);
    const { username } = who.person;
    const used = await firstStep(gateway, username);
    const first = await secondStep(gateway, used, codeOf(gateway, who.secret));
    const second = await secondStep(gateway, used, who.recoveryCodes[0]!);
    const old = await firstStep(gateway, username);
    gateway.clock.advance(5 * MINUTE + 1);
    const late = await secondStep(gateway, old, who.recoveryCodes[1]!);
    expect(codes([first, second, late])).to.deep.equal(['ok', 'invalid_token', 'invalid_token']);
    const { body } = await call(gateway, '/api/mfa', { bearer: String(first.body['access_token']) });
    expect(body).to.include({ totp: true, recovery_codes_left: 10, passkeys: 0 });
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const other = await createGuarded(gateway);
    const tried = await firstStep(gateway, other.person.username);
    for (let i = 0; i < 5; i += 1) await secondStep(gateway, tried, wrongCodeOf(gateway, other.secret));
    const sixth = await secondStep(gateway, tried, codeOf(gateway, other.secret));
    expect(codes([sixth])).to.deep.equal(['invalid_token']);
  });

  it('[S37] the token counts only from the address the password came from, and only for its own account', async () => {
    await start({ env: { TRUST_PROXY: 'true' } });
    const [who, other] = [await createGuarded(gateway), await createGuarded(gateway)];
    const token = await firstStep(gateway, who.person.username);
    const elsewhere = await call(gateway, '/api/login/mfa', {
      json: { mfa_token: token, code: codeOf(gateway, who.secret) },
      headers: { 'x-forwarded-for': '203.0.113.9' },
    });
    const moved = await secondStep(gateway, token, codeOf(gateway, other.secret));
    const recovery = await secondStep(gateway, token, other.recoveryCodes[0]!);
    const own = await secondStep(gateway, token, codeOf(gateway, who.secret));
    expect(codes([elsewhere, moved, recovery, own])).to.deep.equal([
      'invalid_token',
      'invalid_code',
      'invalid_code',
      'ok',
    ]);
  });

  it('[S27] of ten parallel answers to one token exactly one opens a session', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const who = await createGuarded(gateway);
    const token = await firstStep(gateway, who.person.username);
    const answers = await Promise.all(who.recoveryCodes.map((code) => secondStep(gateway, token, code)));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    const left = await gateway.db.sql('SELECT 1 FROM recovery_codes WHERE used_at IS NULL');
    expect(left).to.have.length(9);
  });

  it('[S35] a code counts once: not again in its step, not at the same time elsewhere, none before it', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const who = await createGuarded(gateway);
    const tokens: string[] = [];
    for (let i = 0; i < 6; i += 1) tokens.push(await firstStep(gateway, who.person.username));
    const code = codeOf(gateway, who.secret);
    const earlier = codeOf(gateway, who.secret, -1);
    const answers = await Promise.all(tokens.slice(0, 4).map((token) => secondStep(gateway, token, code)));
    const again = await secondStep(gateway, tokens[4]!, code);
    const before = await secondStep(gateway, tokens[4]!, earlier);
    gateway.clock.advance(STEP_MS);
    const next = await secondStep(gateway, tokens[5]!, codeOf(gateway, who.secret));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    expect(codes([again, before, next])).to.deep.equal(['invalid_code', 'invalid_code', 'ok']);
  });

  it('[S35] a clock may be one step off, not two', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const who = await createGuarded(gateway);
    gateway.clock.advance(5 * STEP_MS);
    const outcomes: unknown[] = [];
    // forward in time, for a step that was passed is used up
    for (const steps of [-2, -1, 0, 2, 1]) {
      outcomes.push((await logInTwice(gateway, who, codeOf(gateway, who.secret, steps))).status);
    }
    expect(outcomes).to.deep.equal([400, 200, 200, 400, 200]);
  });

  it('[S36] wrong codes use up their own limit, not the password’s, and the other way about', async () => {
    const who = await createGuarded(gateway);
    const { username } = who.person;
    const wrong = wrongCodeOf(gateway, who.secret);
    const tokens: string[] = [];
    for (let i = 0; i < 2; i += 1) tokens.push(await firstStep(gateway, username));
    const answers: Answer[] = [];
    for (let i = 0; i < 6; i += 1) answers.push(await secondStep(gateway, tokens[i % 2]!, wrong));
    const password = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
    expect(codes(answers)).to.deep.equal([...Array<string>(5).fill('invalid_code'), 'rate_limited']);
    expect(password.body['code']).to.equal('mfa_required');
    const other = await createGuarded(gateway);
    const token = await firstStep(gateway, other.person.username);
    for (let i = 0; i < 6; i += 1) {
      await call(gateway, '/api/login', { json: { username: other.person.username, password: 'wrong one' } });
    }
    expect((await secondStep(gateway, token, codeOf(gateway, other.secret))).status).to.equal(200);
  });

  it('[S36] thirty wrong codes a day from strange addresses, over all tokens: then only who has been there before', async () => {
    await start({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT: '100' } });
    const who = await createGuarded(gateway);
    const step = (path: string, json: unknown, from?: string): Promise<Answer> =>
      call(gateway, path, { json, ...(from === undefined ? {} : { headers: { 'x-forwarded-for': from } }) });
    const logInFrom = async (code: string, from?: string): Promise<Answer> => {
      const { body } = await step('/api/login', { username: who.person.username, password: PASSWORD }, from);
      return step('/api/login/mfa', { mfa_token: body['mfa_token'], code }, from);
    };
    for (let i = 0; i < 30; i += 1) {
      await logInFrom(wrongCodeOf(gateway, who.secret), `203.0.113.${i}`);
    }
    const stranger = await logInFrom(codeOf(gateway, who.secret), '203.0.113.77');
    const spare = await logInFrom(who.recoveryCodes[0]!, '203.0.113.78');
    const owner = await logInFrom(codeOf(gateway, who.secret));
    gateway.clock.advance(24 * 60 * MINUTE);
    const nextDay = await logInFrom(codeOf(gateway, who.secret), '203.0.113.79');
    expect(codes([stranger, spare, owner, nextDay])).to.deep.equal(['too_many_tries', 'ok', 'ok', 'ok']);
  });

  it('[S40] a recovery code is good once, also when it comes ten times at once, and is not stored', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const who = await createGuarded(gateway);
    const [code] = who.recoveryCodes;
    const tokens: string[] = [];
    for (let i = 0; i < 10; i += 1) tokens.push(await firstStep(gateway, who.person.username));
    const answers = await Promise.all(tokens.map((token) => secondStep(gateway, token, code!)));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    const typed = await logInTwice(
      gateway,
      who,
      ` ${who.recoveryCodes[1]!.toUpperCase().replace('-', ' ')} `,
    );
    const again = await logInTwice(gateway, who, who.recoveryCodes[1]!);
    expect(codes([typed, again])).to.deep.equal(['ok', 'invalid_code']);
    const rows = await gateway.db.sql<{ hash: Buffer }>('SELECT hash FROM recovery_codes');
    const dump = JSON.stringify(rows.map(({ hash }) => [hash.toString('hex'), hash.toString('latin1')]));
    for (const plain of who.recoveryCodes) expect(dump).not.to.include(plain.replace('-', ''));
    const [mail] = await mailsTo(gateway, who.person.email);
    expect(mail!.text).to.include('a recovery code was used, 8 are left');
  });

  it('[S40] new recovery codes void the old ones, and another person’s are worth nothing', async () => {
    const [who, other] = [await createGuarded(gateway), await createGuarded(gateway)];
    const { body } = await logInTwice(gateway, who, codeOf(gateway, who.secret));
    const bearer = String(body['access_token']);
    const renewed = await call(gateway, '/api/mfa/recovery-codes', { json: {}, bearer });
    const [fresh] = renewed.body['recovery_codes'] as string[];
    const old = await logInTwice(gateway, who, who.recoveryCodes[0]!);
    const foreign = await logInTwice(gateway, who, other.recoveryCodes[0]!);
    const right = await logInTwice(gateway, who, fresh!);
    expect(codes([old, foreign, right])).to.deep.equal(['invalid_code', 'invalid_code', 'ok']);
  });

  it('[S23] a stolen database holds no secret, code or token of the second factor', async () => {
    const who = await createGuarded(gateway);
    const token = await firstStep(gateway, who.person.username);
    const rows: unknown[] = [];
    for (const table of ['totp_secrets', 'recovery_codes', 'mfa_tokens', 'audit_logs', 'jobs']) {
      const [row] = await gateway.db.sql<{ dump: string }>(
        `SELECT coalesce(string_agg(encode(convert_to(t::text, 'UTF8'), 'escape'), ''), '') AS dump FROM ${table} t`,
      );
      rows.push(row!.dump);
    }
    const dump = rows.join();
    for (const plain of [who.secret, token, ...who.recoveryCodes]) {
      expect(dump).not.to.include(plain);
      expect(dump).not.to.include(Buffer.from(plain).toString('hex'));
    }
  });

  it('[S39] another password does not do without the second factor, and ends logins that are half done', async () => {
    const who = await createGuarded(gateway);
    const { username } = who.person;
    const halfDone = await firstStep(gateway, username);
    const passwordHash = await gateway.identity.core.passwords.hash('a reset 71 kettle');
    await gateway.db.sql('UPDATE users SET password_hash = $1 WHERE id = $2', [passwordHash, who.person.id]);
    const dead = await secondStep(gateway, halfDone, codeOf(gateway, who.secret));
    const login = await call(gateway, '/api/login', { json: { username, password: 'a reset 71 kettle' } });
    const done = await secondStep(gateway, String(login.body['mfa_token']), codeOf(gateway, who.secret));
    expect(codes([dead, login, done])).to.deep.equal(['invalid_token', 'mfa_required', 'ok']);
  });

  it('[S22] a disabled person does not get through the second step', async () => {
    await createPerson(gateway);
    const who = await createGuarded(gateway);
    const token = await firstStep(gateway, who.person.username);
    const path = `/api/v1/admin/users/${who.person.id}`;
    await call(gateway, path, { method: 'PATCH', json: { disabled: true }, key: ADMIN_KEY });
    const answer = await secondStep(gateway, token, codeOf(gateway, who.secret));
    expect(codes([answer])).to.deep.equal(['invalid_token']);
    const [row] = await auditRows(gateway, 'auth.login_mfa');
    expect(row).to.include({ success: false, code: 'invalid_token', principal: `user:${who.person.id}` });
  });

  it('a socket’s password login refuses an account with a second factor, and starts no second step', async () => {
    const who = await createGuarded(gateway);
    const credentials = { name: who.person.username, password: PASSWORD };
    const refusal = await gateway.identity.logIn(credentials, {}).catch((error: unknown) => error);
    expect(refusal).to.be.instanceOf(AppError);
    expect((refusal as AppError).code).to.equal('mfa_required');
    expect((refusal as AppError).details.members).to.equal(undefined);
    expect(await gateway.db.sql('SELECT 1 FROM mfa_tokens')).to.have.length(0);
  });
});
