import { expect } from 'chai';
import type { Authenticator, Lies } from '../support/authenticator.ts';
import { auditRows, call, createPerson, logIn } from './support/client.ts';
import type { Answer } from './support/client.ts';
import {
  askToLogIn,
  askToRegister,
  authenticatorAt,
  firstStep,
  createPasskeyHolder,
  logInByPasskey,
  sendPasskey,
  tryToRegister,
} from './support/factors.ts';
import type { Holder, PasskeyChallenge } from './support/factors.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

const MINUTE = 60_000;
const codes = (answers: Answer[]): unknown[] => answers.map(({ body }) => body['code'] ?? 'ok');

describe('attacks on passkeys', () => {
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

  const lies: [string, Lies][] = [
    ['another origin', { origin: 'https://evil.example' }],
    ['a look-alike of ours', { origin: 'http://localhost.evil.example' }],
    ['another port of this machine', { origin: 'http://localhost:1' }],
    ['another RP id', { rpId: 'evil.example' }],
    ['the RP id of this address', { rpId: '127.0.0.1' }],
    ['a challenge we never gave', { challenge: 'bm90IG91cnM' }],
    ['nobody verified', { unverified: true }],
    ['a page framed by another', { crossOrigin: true }],
  ];
  for (const [what, lie] of lies) {
    it(`[S41] ${what}: no login and no registration`, async () => {
      const { authenticator } = await createHolder();
      const newcomer = await createPerson(gateway);
      const login = await logInWith(authenticator, lie);
      const registration = await register((await logIn(gateway, newcomer.username)).access, lie);
      expect([login.status, login.body['code']]).to.deep.equal([401, 'invalid_credentials']);
      expect(registration.body['code']).to.equal('passkey_refused');
    });
  }

  it('[S41] an answer of the other ceremony, another key’s signature, another account’s handle', async () => {
    const { authenticator } = await createHolder();
    const other = await createHolder();
    const answers = [
      await logInWith(authenticator, { type: 'webauthn.create' }),
      await logInWith(authenticator, { strangeKey: true }),
      await logInWith(authenticator, { userHandle: Buffer.alloc(16, 7).toString('base64url') }),
      await logInWith(authenticator, { credentialId: other.authenticator.credentialId }),
      await logInWith(authenticatorAt(gateway)),
    ];
    expect(codes(answers)).to.deep.equal(Array(5).fill('invalid_credentials'));
    expect(new Set(answers.map(({ body }) => body['message'])).size).to.equal(1);
    const faults = (await auditRows(gateway, 'auth.login_passkey')).map(
      ({ details }) => (details as { fault: string }).fault,
    );
    expect(faults).to.deep.equal(['response', 'response', 'user', 'user', 'credential']);
  });

  it('[S41] a challenge is answered once, also by ten at once, within five minutes, and for what it was given', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT: '100' } });
    const { authenticator } = await createHolder({ counts: false });
    const challenge = await askToLogIn(gateway);
    const response = authenticator.get(challenge.options);
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(challenge, response)));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    const old = await askToLogIn(gateway);
    const other = await askToLogIn(gateway);
    const swapped = await send(other, authenticator.get(old.options));
    gateway.clock.advance(5 * MINUTE + 1);
    const late = await send(old, authenticator.get(old.options));
    expect(codes([swapped, late])).to.deep.equal(['invalid_credentials', 'invalid_credentials']);
  });

  it('[S41] a challenge of a login registers nothing and proves nothing at a session', async () => {
    const { bearer, authenticator } = await createHolder();
    const login = await askToLogIn(gateway);
    const person = await createPerson(gateway);
    const other = (await logIn(gateway, person.username)).access;
    const created = authenticatorAt(gateway).create({ ...login.options, user: { id: 'AAAA' } });
    const registered = await call(gateway, '/api/passkeys/register', {
      json: { response: created, name: 'A key' },
      bearer: other,
    });
    const second = await askToLogIn(gateway);
    const proved = await call(gateway, '/api/reauthenticate', {
      json: { challenge_id: second.challenge_id, response: authenticator.get(second.options) },
      bearer,
    });
    expect(codes([registered, proved])).to.deep.equal(['passkey_refused', 'invalid_credentials']);
  });

  it('[S41] a registration answers the challenge of its own session alone, once', async () => {
    const [one, two] = [await createPerson(gateway), await createPerson(gateway)];
    const [first, second] = [
      (await logIn(gateway, one.username)).access,
      (await logIn(gateway, two.username)).access,
    ];
    const authenticator = authenticatorAt(gateway);
    const response = authenticator.create(await askToRegister(gateway, first));
    const json = { response, name: 'A key' };
    const stolen = await call(gateway, '/api/passkeys/register', { json, bearer: second });
    const own = await call(gateway, '/api/passkeys/register', { json, bearer: first });
    const [code] = own.body['recovery_codes'] as string[];
    await call(gateway, '/api/reauthenticate', { json: { code }, bearer: first });
    const again = await call(gateway, '/api/passkeys/register', { json, bearer: first });
    expect(codes([stolen, own, again])).to.deep.equal(['passkey_refused', 'ok', 'passkey_refused']);
  });

  it('[S41] a counter that does not go up tells of a copy: refused, also when both come at once', async () => {
    const { authenticator } = await createHolder();
    const copy = authenticator.copy();
    expect((await logInWith(authenticator)).status).to.equal(200);
    const behind = await logInWith(copy);
    const zero = await logInWith(authenticator, { counter: 0 });
    expect(codes([behind, zero])).to.deep.equal(['invalid_credentials', 'invalid_credentials']);
    const challenges = await Promise.all(Array.from({ length: 6 }, () => askToLogIn(gateway)));
    const answers = await Promise.all(
      challenges.map((challenge) => send(challenge, authenticator.get(challenge.options, { counter: 50 }))),
    );
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    const rows = await auditRows(gateway, 'auth.login_passkey');
    expect(rows.filter(({ details }) => (details as { fault?: string }).fault === 'counter')).to.have.length(
      7,
    );
  });

  it('[S41] a key chain that does not count logs in again and again', async () => {
    const { authenticator } = await createHolder({ counts: false });
    const answers = [await logInWith(authenticator), await logInWith(authenticator)];
    expect(codes(answers)).to.deep.equal(['ok', 'ok']);
  });

  it('[S41] another person’s passkey finishes no login and proves nothing', async () => {
    const [one, two] = [await createHolder(), await createHolder()];
    const mfaToken = await firstStep(gateway, one.person.username);
    const asked = await call(gateway, '/api/login/mfa/passkey-options', { json: { mfa_token: mfaToken } });
    const options = asked.body['options'] as PasskeyChallenge['options'];
    const step = await call(gateway, '/api/login/mfa', {
      json: { mfa_token: mfaToken, passkey: two.authenticator.get(options) },
    });
    const proof = await call(gateway, '/api/reauthenticate/options', { json: {}, bearer: one.bearer });
    const challenge = proof.body as unknown as PasskeyChallenge;
    const proved = await call(gateway, '/api/reauthenticate', {
      json: {
        challenge_id: challenge.challenge_id,
        response: two.authenticator.get(challenge.options),
      },
      bearer: one.bearer,
    });
    expect(codes([step, proved])).to.deep.equal(['invalid_credentials', 'invalid_credentials']);
  });

  it('[S41] a credential that somebody has is not registered again, by whomever', async () => {
    const [one, person] = [await createHolder(), await createPerson(gateway)];
    const bearer = (await logIn(gateway, person.username)).access;
    const { credentialId } = one.authenticator;
    const answer = await register(bearer, { credentialId });
    expect(codes([answer])).to.deep.equal(['passkey_refused']);
    expect((await logInWith(one.authenticator)).status).to.equal(200);
  });
});
