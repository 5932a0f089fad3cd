import { expect } from 'chai';
import { Secret, TOTP } from 'otpauth';
import { createAuthenticator } from '../../support/authenticator.ts';
import type { Authenticator, CreationOptions, Lies } from '../../support/authenticator.ts';
import { call, createPerson, logIn } from './client.ts';
import type { Answer, Person, Tokens } from './client.ts';
import { PASSWORD } from './gateway.ts';
import type { Gateway } from './gateway.ts';

export const STEP_MS = 30_000;

/** Somebody with codes on, logged in with the password alone before. */
export interface Guarded {
  person: Person;
  tokens: Tokens;
  secret: string;
  recoveryCodes: string[];
}

/** What the app shows, `steps` away from now. */
export function codeOf(gateway: Gateway, secret: string, steps = 0): string {
  const timestamp = gateway.clock() + steps * STEP_MS;
  return new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp });
}

/** A code of six digits that none of the steps near now has. */
export function wrongCodeOf(gateway: Gateway, secret: string): string {
  const near = [-2, -1, 0, 1, 2].map((steps) => codeOf(gateway, secret, steps));
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find((code) => !near.includes(code))!;
}

/** Turns codes on; the code of this step is used up by it, so time goes on by one. */
export async function enableTotp(
  gateway: Gateway,
  bearer: string,
): Promise<{ secret: string; recoveryCodes: string[] }> {
  const enrolled = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
  const secret = String(enrolled.body['secret']);
  const json = { code: codeOf(gateway, secret) };
  const { status, body } = await call(gateway, '/api/mfa/totp/confirm', { json, bearer });
  expect(status).to.equal(200);
  gateway.clock.advance(STEP_MS);
  return { secret, recoveryCodes: body['recovery_codes'] as string[] };
}

export async function createGuarded(gateway: Gateway): Promise<Guarded> {
  const person = await createPerson(gateway);
  const tokens = await logIn(gateway, person.username);
  return { person, tokens, ...(await enableTotp(gateway, tokens.access)) };
}

/** The first step of a login: the mfa_token. */
export async function firstStep(gateway: Gateway, username: string): Promise<string> {
  const { body } = await call(gateway, '/api/login', { json: { username, password: PASSWORD } });
  expect(body['code']).to.equal('mfa_required');
  return String(body['mfa_token']);
}

export function secondStep(gateway: Gateway, mfaToken: string, code: string): Promise<Answer> {
  return call(gateway, '/api/login/mfa', { json: { mfa_token: mfaToken, code } });
}

/** A login with both steps. */
export async function logInTwice(gateway: Gateway, who: Guarded, code: string): Promise<Answer> {
  return secondStep(gateway, await firstStep(gateway, who.person.username), code);
}

/** An authenticator at the gateway's own page. */
export function authenticatorAt(gateway: Gateway, options: { counts?: boolean } = {}): Authenticator {
  return createAuthenticator({ rpId: 'localhost', origin: new URL(gateway.url).origin }, options);
}

export async function askToRegister(gateway: Gateway, bearer: string): Promise<CreationOptions> {
  const { status, body } = await call(gateway, '/api/passkeys/register-options', { json: {}, bearer });
  expect(status).to.equal(200);
  return body['options'] as CreationOptions;
}

export async function registerPasskey(
  gateway: Gateway,
  bearer: string,
  authenticator = authenticatorAt(gateway),
): Promise<{ authenticator: Authenticator; id: string; recoveryCodes: string[] }> {
  const response = authenticator.create(await askToRegister(gateway, bearer));
  const { status, body } = await call(gateway, '/api/passkeys/register', {
    json: { response, name: 'A key' },
    bearer,
  });
  expect(status).to.equal(201);
  const recoveryCodes = (body['recovery_codes'] ?? []) as string[];
  return { authenticator, id: (body['passkey'] as { id: string }).id, recoveryCodes };
}

export interface PasskeyChallenge {
  challenge_id: string;
  options: { challenge: string; allowCredentials?: { id: string }[]; rpId: string; userVerification: string };
}

export async function askToLogIn(gateway: Gateway): Promise<PasskeyChallenge> {
  const { body } = await call(gateway, '/api/passkeys/login-options', { json: {} });
  return body as unknown as PasskeyChallenge;
}

/** Somebody with a passkey and no codes, at the session that made it. */
export interface Holder {
  person: Person;
  bearer: string;
  authenticator: Authenticator;
  id: string;
  recoveryCodes: string[];
}

export async function createPasskeyHolder(
  gateway: Gateway,
  options: { counts?: boolean } = {},
): Promise<Holder> {
  const person = await createPerson(gateway);
  const bearer = (await logIn(gateway, person.username)).access;
  const made = await registerPasskey(gateway, bearer, authenticatorAt(gateway, options));
  return { person, bearer, ...made };
}

export function sendPasskey(
  gateway: Gateway,
  challenge: PasskeyChallenge,
  response: unknown,
): Promise<Answer> {
  const json = { challenge_id: challenge.challenge_id, response };
  return call(gateway, '/api/passkeys/login', { json });
}

export async function logInByPasskey(
  gateway: Gateway,
  authenticator: Authenticator,
  lies: Lies = {},
): Promise<Answer> {
  const challenge = await askToLogIn(gateway);
  return sendPasskey(gateway, challenge, authenticator.get(challenge.options, lies));
}

/** A new authenticator at a session; with `lies`, one that does not mean well. */
export async function tryToRegister(gateway: Gateway, bearer: string, lies: Lies = {}): Promise<Answer> {
  const response = authenticatorAt(gateway).create(await askToRegister(gateway, bearer), lies);
  return call(gateway, '/api/passkeys/register', { json: { response, name: 'A key' }, bearer });
}
