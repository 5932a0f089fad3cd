import { expect } from 'chai';
import { createAuthenticator } from '../support/authenticator.ts';
import type { Authenticator, Lies } from '../support/authenticator.ts';
import { auditRows, call, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import {
  askToLogIn,
  codeOf,
  createGuarded,
  firstStep,
  registerPasskey,
  secondStep,
  createPasskeyHolder,
  logInByPasskey,
  sendPasskey,
  tryToRegister,
} from './support/factors.ts';
import type { Holder, PasskeyChallenge } from './support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

const MINUTE = 60_000;
const codes = (answers: Answer[]): unknown[] => answers.map(({ body }) => body['code'] ?? 'ok');

describe('passkeys', () => {
  let gateway: Gateway;
  const start = async (options: GatewayOptions): Promise<void> => {
    await gateway.close();
    gateway = await startGateway(options);
  };
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  const createHolder = (options?: { counts?: boolean }): Promise<Holder> =>
    createPasskeyHolder(gateway, options);
  const send = (challenge: PasskeyChallenge, response: unknown): Promise<Answer> =>
    sendPasskey(gateway, challenge, response);
  const logInWith = (authenticator: Authenticator, lies?: Lies): Promise<Answer> =>
    logInByPasskey(gateway, authenticator, lies);
  const register = (bearer: string, lies?: Lies): Promise<Answer> => tryToRegister(gateway, bearer, lies);

  it('are registered, listed, renamed and removed by their owner, who is told by mail', async () => {
    const { person, bearer, authenticator, id, recoveryCodes } = await createHolder();
    await logInWith(authenticator);
    await call(gateway, `/api/passkeys/${id}`, { method: 'PATCH', json: { name: 'My phone' }, bearer });
    const list = await call(gateway, '/api/passkeys', { bearer });
    const [one] = list.body['passkeys'] as Record<string, unknown>[];
    expect(one).to.include({ id, name: 'My phone', backed_up: false });
    expect(Date.parse(String(one!['last_used_at']))).to.be.greaterThan(
      Date.parse(String(one!['created_at'])),
    );
    expect(recoveryCodes).to.have.length(10);
    const fresh = await logInWith(authenticator);
    const own = String(fresh.body['access_token']);
    expect((await call(gateway, `/api/passkeys/${id}`, { method: 'DELETE', bearer: own })).status).to.equal(
      200,
    );
    expect(codes([await logInWith(authenticator)])).to.deep.equal(['invalid_credentials']);
    const subjects = (await mailsTo(gateway, person.email)).map(({ subject }) => subject);
    expect(subjects.slice(0, 2)).to.deep.equal([
      'Your Sluice account: a second factor was removed: a passkey',
      'Your Sluice account: a second factor was added: a passkey',
    ]);
    expect((await call(gateway, '/api/mfa', { bearer: own })).body).to.include({ recovery_codes_left: 0 });
    for (const action of ['passkey.added', 'passkey.renamed', 'passkey.removed']) {
      expect((await auditRows(gateway, action)).map(({ success }) => success)).to.deep.equal([true]);
    }
  });

  it('[S20] one alone logs in, for it has checked who holds it: a session of its own, no name typed', async () => {
    const { person, bearer, authenticator } = await createHolder();
    const challenge = await askToLogIn(gateway);
    const { status, body } = await send(challenge, authenticator.get(challenge.options));
    const me = await call(gateway, '/auth/me', { bearer: String(body['access_token']) });
    const before = await call(gateway, '/auth/me', { bearer });
    expect(status).to.equal(200);
    expect(challenge.options).to.include({ rpId: 'localhost', userVerification: 'required' });
    expect(challenge.options).not.to.have.property('allowCredentials');
    expect((me.body['user'] as { id: string }).id).to.equal(person.id);
    expect(me.body['session_id']).not.to.equal(before.body['session_id']);
    const [row] = await gateway.db.sql('SELECT amr FROM sessions WHERE id = $1', [me.body['session_id']]);
    expect(row).to.deep.equal({ amr: ['hwk'] });
  });

  it('is a second factor too: a password login asks for it, or for a recovery code', async () => {
    const { person, authenticator, recoveryCodes } = await createHolder();
    const json = { username: person.username, password: PASSWORD };
    const { body } = await call(gateway, '/api/login', { json });
    const asked = await call(gateway, '/api/login/mfa/passkey-options', {
      json: { mfa_token: body['mfa_token'] },
    });
    const options = asked.body['options'] as PasskeyChallenge['options'];
    const passkey = authenticator.get(options);
    const done = await call(gateway, '/api/login/mfa', { json: { mfa_token: body['mfa_token'], passkey } });
    const spare = await secondStep(gateway, await firstStep(gateway, person.username), recoveryCodes[0]!);
    expect(body['methods']).to.deep.equal(['passkey', 'recovery']);
    expect(options.allowCredentials?.map(({ id }) => id)).to.deep.equal([authenticator.credentialId]);
    expect(codes([done, spare])).to.deep.equal(['ok', 'ok']);
  });

  it('[S38] proves who one is, which registering and removing want', async () => {
    const { bearer, authenticator, id } = await createHolder();
    const remove = (): Promise<Answer> => call(gateway, `/api/passkeys/${id}`, { method: 'DELETE', bearer });
    const before = await remove();
    const { body } = await call(gateway, '/api/reauthenticate/options', { json: {}, bearer });
    const { challenge_id, options } = body as unknown as PasskeyChallenge;
    const json = { challenge_id, response: authenticator.get(options) };
    const proved = await call(gateway, '/api/reauthenticate', { json, bearer });
    const replayed = await call(gateway, '/api/reauthenticate', { json, bearer });
    gateway.clock.advance(9 * MINUTE);
    const added = await register(bearer);
    gateway.clock.advance(MINUTE + 1);
    const late = await remove();
    expect(codes([before, proved, replayed, added, late])).to.deep.equal([
      'reauthentication_required',
      'ok',
      'invalid_credentials',
      'ok',
      'reauthentication_required',
    ]);
  });

  it('[S39] removing the last factor of several leaves the rest in force', async () => {
    const who = await createGuarded(gateway);
    const { body } = await secondStep(
      gateway,
      await firstStep(gateway, who.person.username),
      codeOf(gateway, who.secret),
    );
    const bearer = String(body['access_token']);
    const { id } = await registerPasskey(gateway, bearer);
    await call(gateway, `/api/passkeys/${id}`, { method: 'DELETE', bearer });
    const { body: state } = await call(gateway, '/api/mfa', { bearer });
    expect(state).to.include({ totp: true, passkeys: 0, recovery_codes_left: 10 });
    await firstStep(gateway, who.person.username);
  });

  it('[S22] a disabled person’s passkey opens nothing', async () => {
    await createPerson(gateway);
    const { person, authenticator } = await createHolder();
    const path = `/api/v1/admin/users/${person.id}`;
    await call(gateway, path, { method: 'PATCH', json: { disabled: true }, key: ADMIN_KEY });
    expect(codes([await logInWith(authenticator)])).to.deep.equal(['invalid_credentials']);
    const [row] = await auditRows(gateway, 'auth.login_passkey');
    expect(row).to.deep.include({ success: false, principal: `user:${person.id}` });
  });

  it('[S63] another person’s passkeys are neither seen nor changed', async () => {
    const [one, two] = [await createHolder(), await createHolder()];
    const { body } = await logInWith(two.authenticator);
    const bearer = String(body['access_token']);
    const renamed = await call(gateway, `/api/passkeys/${one.id}`, {
      method: 'PATCH',
      json: { name: 'mine' },
      bearer,
    });
    const removed = await call(gateway, `/api/passkeys/${one.id}`, { method: 'DELETE', bearer });
    const list = await call(gateway, '/api/passkeys', { bearer });
    expect(codes([renamed, removed])).to.deep.equal(['not_found', 'not_found']);
    expect((list.body['passkeys'] as { id: string }[]).map(({ id }) => id)).to.deep.equal([two.id]);
    expect((await logInWith(one.authenticator)).status).to.equal(200);
  });

  it('[S63] a passkey of one tenant is unknown in another, and a tenant that is none leaves no trace', async () => {
    const { authenticator } = await createHolder();
    await gateway.db.sql(`INSERT INTO tenants (id, name) VALUES (2, 'other')`);
    for (const tenantId of [2, 77]) {
      const { body } = await call(gateway, '/api/passkeys/login-options', { json: { tenant_id: tenantId } });
      const { challenge_id, options } = body as unknown as PasskeyChallenge;
      const json = { challenge_id, response: authenticator.get(options), tenant_id: tenantId };
      const answer = await call(gateway, '/api/passkeys/login', { json });
      expect([answer.status, answer.body['code']]).to.deep.equal([401, 'invalid_credentials']);
    }
    const rows = await gateway.db.sql('SELECT 1 FROM audit_logs WHERE tenant_id <> 1');
    expect(rows).to.have.length(0);
  });

  it('[S60] pages get the refresh token as a cookie, and foreign pages nothing', async () => {
    const { person, authenticator, recoveryCodes } = await createHolder();
    const challenge = await askToLogIn(gateway);
    const json = { challenge_id: challenge.challenge_id, response: authenticator.get(challenge.options) };
    const web = (path: string, origin: string, body: unknown): Promise<Answer> =>
      call(gateway, path, { json: body, headers: { 'x-sluice-web': '1', origin } });
    const foreign = await web('/api/passkeys/login', 'https://evil.example', json);
    const own = await web('/api/passkeys/login', new URL(gateway.url).origin, json);
    const step = { mfa_token: await firstStep(gateway, person.username), code: recoveryCodes[0] };
    const foreignStep = await web('/api/login/mfa', 'https://evil.example', step);
    const ownStep = await web('/api/login/mfa', new URL(gateway.url).origin, step);
    expect(codes([foreign, foreignStep])).to.deep.equal(['origin_refused', 'origin_refused']);
    for (const { status, body, headers } of [own, ownStep]) {
      expect([status, body['refresh_token']]).to.deep.equal([200, undefined]);
      expect(headers.get('set-cookie')).to.match(/^sluice_refresh=srt_.*HttpOnly; SameSite=Strict/);
      expect(headers.get('cache-control')).to.equal('no-store');
    }
  });

  it('[S68] certificates that come with a passkey are not looked at: there is nothing in them to parse or to fetch', async () => {
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const attStmt = new Map<string, number | Buffer | Buffer[]>([
      ['alg', -7],
      ['sig', Buffer.alloc(64)],
      ['x5c', [Buffer.from('no certificate')]],
    ]);
    expect((await register(access, { fmt: 'packed', attStmt })).status).to.equal(201);
  });

  it('the pages that may use one come from configuration, and no further than the name reaches', async () => {
    await start({
      env: {
        PUBLIC_URL: 'https://sync.example.org',
        CORS_ORIGINS: 'https://shop.sync.example.org,https://shop.example.net,https://evilsync.example.org',
      },
    });
    const { username } = await createPerson(gateway);
    const { access } = await logIn(gateway, username);
    const at = (origin: string): Authenticator => createAuthenticator({ rpId: 'sync.example.org', origin });
    const { authenticator } = await registerPasskey(gateway, access, at('https://sync.example.org'));
    const answers: Answer[] = [];
    for (const origin of [
      'https://shop.sync.example.org',
      'https://shop.example.net',
      'https://evilsync.example.org',
      'http://sync.example.org',
      'https://sync.example.org',
    ]) {
      answers.push(await logInWith(authenticator, { origin }));
    }
    const refused = 'invalid_credentials';
    expect(codes(answers)).to.deep.equal(['ok', refused, refused, refused, 'ok']);
  });

  it('on a bare address there are none, and it is said why', async () => {
    await start({ env: { PUBLIC_URL: 'http://192.0.2.7:8300' } });
    const { body } = await call(gateway, '/api/passkeys/login-options', { json: {} });
    expect(body).to.include({ code: 'passkey_refused' });
    expect(body['message']).to.include('PUBLIC_URL');
  });
});
