import { expect } from 'chai';
import { auditRows, call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer } from './support/client.ts';
import {
  STEP_MS,
  codeOf,
  createGuarded,
  enableTotp,
  firstStep,
  logInTwice,
  registerPasskey,
  secondStep,
  wrongCodeOf,
} from './support/factors.ts';
import type { Guarded } from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;
const codes = (answers: Answer[]): unknown[] => answers.map(({ body }) => body['code'] ?? 'ok');

describe('changes of second factors', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('[S38] turning codes on or off wants a proof of the last ten minutes', async () => {
    const { username } = await createPerson(gateway);
    const { access: bearer } = await logIn(gateway, username);
    gateway.clock.advance(10 * MINUTE + 1);
    const stale = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    await call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer });
    const { secret } = await enableTotp(gateway, bearer);
    const disable = (code: string): Promise<Answer> =>
      call(gateway, '/api/mfa/totp/disable', { json: { code }, bearer });
    const early = await disable(codeOf(gateway, secret));
    expect(stale.body).to.deep.include({
      code: 'reauthentication_required',
      methods: ['password'],
      status: 401,
    });
    expect(early.body).to.deep.include({ code: 'reauthentication_required', methods: ['totp', 'recovery'] });
    await call(gateway, '/api/reauthenticate', { json: { code: codeOf(gateway, secret) }, bearer });
    const used = await disable(codeOf(gateway, secret));
    gateway.clock.advance(STEP_MS);
    const right = await disable(codeOf(gateway, secret));
    const login = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
    expect(codes([used, right, login])).to.deep.equal(['invalid_code', 'ok', 'ok']);
    expect(await gateway.db.sql('SELECT 1 FROM recovery_codes')).to.have.length(0);
  });

  it('[S38] with a second factor on, the password alone changes none: no new codes, no passkey, no turning off', async () => {
    const who = await createGuarded(gateway);
    const bearer = who.tokens.access;
    const proved = await call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer });
    const acts = [
      await call(gateway, '/api/mfa/recovery-codes', { json: {}, bearer }),
      await call(gateway, '/api/passkeys/register-options', { json: {}, bearer }),
      await call(gateway, '/api/mfa/totp/disable', { json: { code: codeOf(gateway, who.secret) }, bearer }),
      await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer }),
    ];
    expect(proved.status).to.equal(200);
    expect(codes(acts)).to.deep.equal(Array(4).fill('reauthentication_required'));
  });

  it('[S38] codes that are on are not exchanged for a thief’s: enrolling again is refused', async () => {
    const who = await createGuarded(gateway);
    const bearer = who.tokens.access;
    await call(gateway, '/api/reauthenticate', { json: { code: codeOf(gateway, who.secret) }, bearer });
    const again = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    gateway.clock.advance(STEP_MS);
    expect([again.status, again.body['code']]).to.deep.equal([409, 'already_exists']);
    expect((await logInTwice(gateway, who, codeOf(gateway, who.secret))).status).to.equal(200);
  });

  it('a secret that is not confirmed in a quarter of an hour, or with a wrong code, counts for nothing', async () => {
    const { username } = await createPerson(gateway);
    const { access: bearer } = await logIn(gateway, username);
    const { body } = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    const secret = String(body['secret']);
    const confirm = (code: string, token: string): Promise<Answer> =>
      call(gateway, '/api/mfa/totp/confirm', { json: { code }, bearer: token });
    const wrong = await confirm(wrongCodeOf(gateway, secret), bearer);
    gateway.clock.advance(15 * MINUTE);
    const { access } = await logIn(gateway, username);
    const late = await confirm(codeOf(gateway, secret), access);
    expect(codes([wrong, late])).to.deep.equal(['invalid_code', 'invalid_code']);
    expect((await call(gateway, '/api/mfa', { bearer: access })).body['totp']).to.equal(false);
  });

  it('[S63][S54] these routes are for a person at their own login: no client, no key, no further fields', async () => {
    const client = await createClient(gateway);
    const { access } = await clientTokens(gateway, client);
    const routes = ['/api/mfa', '/api/passkeys'];
    const answers = await Promise.all([
      ...routes.map((route) => call(gateway, route, { bearer: access })),
      ...routes.map((route) => call(gateway, route, { key: ADMIN_KEY })),
      call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer: access }),
      call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer: access }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal(Array(6).fill(403));
    const { id, username } = await createPerson(gateway);
    const { access: bearer } = await logIn(gateway, username);
    const json = { code: '123456', user_id: id };
    const extra = await call(gateway, '/api/mfa/totp/confirm', { json, bearer });
    expect(codes([extra])).to.deep.equal(['invalid_request']);
  });

  it('[S61] each step leaves one audit row, and no secret stands in them or in the log', async () => {
    const who: Guarded = await createGuarded(gateway);
    const token = await firstStep(gateway, who.person.username);
    const wrong = wrongCodeOf(gateway, who.secret);
    await secondStep(gateway, token, wrong);
    const right = codeOf(gateway, who.secret);
    const { body } = await secondStep(gateway, token, right);
    const bearer = String(body['access_token']);
    const { recoveryCodes } = await registerPasskey(gateway, bearer);
    await call(gateway, '/api/reauthenticate', { json: { password: PASSWORD }, bearer });
    await call(gateway, '/api/reauthenticate', { json: { code: who.recoveryCodes[0] }, bearer });
    await call(gateway, '/api/mfa/recovery-codes', { json: {}, bearer });
    const outcomes = async (action: string): Promise<unknown[]> =>
      (await auditRows(gateway, action)).map(({ success, code, principal }) => {
        expect(principal).to.equal(`user:${who.person.id}`);
        return success || code;
      });
    expect(await outcomes('mfa.totp_enrol')).to.deep.equal([true]);
    expect(await outcomes('mfa.totp_enabled')).to.deep.equal([true]);
    expect(await outcomes('auth.login')).to.deep.equal([true, 'mfa_required']);
    expect(await outcomes('auth.login_mfa')).to.deep.equal(['invalid_code', true]);
    expect(await outcomes('passkey.added')).to.deep.equal([true]);
    expect(await outcomes('auth.reauthenticate')).to.deep.equal([true, true]);
    expect(await outcomes('mfa.recovery_codes_renewed')).to.deep.equal([true]);
    expect(recoveryCodes).to.deep.equal([]);
    const rows = JSON.stringify(await gateway.db.sql('SELECT * FROM audit_logs'));
    // with its quotes: six digits alone stand in many an id
    for (const secret of [who.secret, token, PASSWORD, `"${wrong}"`, `"${right}"`, ...who.recoveryCodes]) {
      expect(gateway.logged()).not.to.include(secret);
      expect(rows).not.to.include(secret);
    }
  });
});

describe('reauthentication', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  const prove = (bearer: string, json: unknown): Promise<Answer> =>
    call(gateway, '/api/reauthenticate', { json, bearer });

  it('[S38] makes this session fresh for ten minutes, and no other', async () => {
    const { username } = await createPerson(gateway);
    const [here, there] = [await logIn(gateway, username), await logIn(gateway, username)];
    gateway.clock.advance(11 * MINUTE);
    const { status, body } = await prove(here.access, { password: PASSWORD });
    const enroll = (bearer: string): Promise<Answer> =>
      call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    expect(status).to.equal(200);
    expect(Date.parse(String(body['fresh_until'])) - gateway.clock()).to.be.within(9.9 * MINUTE, 10 * MINUTE);
    expect(codes([await enroll(here.access), await enroll(there.access)])).to.deep.equal([
      'ok',
      'reauthentication_required',
    ]);
    gateway.clock.advance(10 * MINUTE + 1);
    const refreshed = await call(gateway, '/auth/refresh', { json: { refresh_token: here.refresh } });
    expect(codes([await enroll(String(refreshed.body['access_token']))])).to.deep.equal([
      'reauthentication_required',
    ]);
  });

  it('[S36] wrong passwords there count with those of the login, wrong codes with those of the second step', async () => {
    const who = await createGuarded(gateway);
    const bearer = who.tokens.access;
    const token = await firstStep(gateway, who.person.username);
    for (let i = 0; i < 5; i += 1) await prove(bearer, { password: 'wrong one' });
    const login = await call(gateway, '/api/login', {
      json: { username: who.person.username, password: PASSWORD },
    });
    for (let i = 0; i < 5; i += 1) await prove(bearer, { code: wrongCodeOf(gateway, who.secret) });
    const step = await secondStep(gateway, token, codeOf(gateway, who.secret));
    expect(codes([login, step])).to.deep.equal(['rate_limited', 'rate_limited']);
  });

  it('[S18] a session that has ended is not renewed', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    await call(gateway, '/auth/logout', { method: 'POST', bearer: access });
    expect(codes([await prove(access, { password: PASSWORD })])).to.deep.equal(['revoked']);
  });

  it('takes one proof at a time', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const answers = [await prove(access, {}), await prove(access, { password: PASSWORD, code: '123456' })];
    expect(codes(answers)).to.deep.equal(['invalid_request', 'invalid_request']);
  });
});
