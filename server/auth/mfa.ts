import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { consumeFactorCode } from './factor-codes.ts';
import type { CountListener } from './guess-gate.ts';
import { toPersonView } from './login.ts';
import type { LoggedIn, PersonView } from './login.ts';
import { claimTry, closeMfaToken, findMfaLogin, lockMfaUser } from './mfa-tokens.ts';
import type { MfaLogin } from './mfa-tokens.ts';
import { sha256 } from './opaque.ts';
import { askForPasskey, consumeAssertion } from './passkey-proofs.ts';
import type { Assertion, ChallengeUse } from './passkey-proofs.ts';
import { auditFactor, findFactors, guardCodes, mailChange } from './second-factors.ts';
import type { Person, ProofMethod } from './second-factors.ts';
import { mint, openSession } from './sessions.ts';
import type { OpenedSession } from './sessions.ts';

/** A code that was typed, or a passkey's signature. */
export type FactorProof = { code: string } | { assertion: Assertion; challengeId?: string | undefined };

type Judged = { method: ProofMethod } | { refusal: AppError; fault?: string };
type Outcome = { refusal: AppError } | { opened: OpenedSession; user: PersonView };

/**
 * The second step of a login: opens the session. Throws `invalid_token` (an mfa_token that is unknown, used, too old, of another
 * address or overtaken by a change of password), `invalid_code`, `invalid_credentials` (passkey), `too_many_tries`, `rate_limited`.
 */
export async function finishLogin(
  core: IdentityCore,
  input: { mfaToken: string; proof: FactorProof },
  caller: Caller,
  onCount?: CountListener,
): Promise<LoggedIn> {
  const login = await requireMfaLogin(core, input.mfaToken, caller);
  const attempt = async (): Promise<LoggedIn> => {
    const outcome = await core.db.transaction(({ sql }) => judge(core, sql, login, { ...input, caller }));
    if ('refusal' in outcome) throw outcome.refusal;
    return { user: outcome.user, tokens: await mint(core, outcome.opened) };
  };
  const loggedIn = await guardCodes(core, login, { caller, attempt, onCount });
  core.jobs.wake();
  return loggedIn;
}

/** What a passkey has to sign to finish this login. Throws `invalid_token`, `not_found` when the account has none. */
export async function askForMfaPasskey(
  core: IdentityCore,
  mfaToken: string,
  caller: Caller,
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  const login = await requireMfaLogin(core, mfaToken, caller);
  return (await askForPasskey(core, challengeOf(login), login.userId)).options;
}

/** A passkey alone, which has checked who holds it: both factors at once. Throws `invalid_credentials`, `rate_limited`. */
export async function logInByPasskey(
  core: IdentityCore,
  input: {
    tenantId?: number | undefined;
    challengeId: string;
    assertion: Assertion;
    app?: string | undefined;
  },
  caller: Caller,
  onCount?: CountListener,
): Promise<LoggedIn> {
  const { tenantId = PEOPLE_TENANT, challengeId, assertion } = input;
  const attempt = async (isOver: boolean): Promise<LoggedIn> => {
    const outcome = await core.db.transaction(async ({ sql }): Promise<Outcome> => {
      const use = { ...toPasskeyLogin(tenantId), challengeId };
      const used = await consumeAssertion(core, sql, use, assertion);
      const user = 'fault' in used ? undefined : await lockPerson(sql, { tenantId, userId: used.userId });
      const fault = 'fault' in used ? used.fault : user === undefined ? 'user' : undefined;
      if (isOver && fault !== undefined) return { refusal: passkeyRefused() };
      await appendAudit(sql, {
        // a tenant that no known passkey belongs to may not exist: its log is not written to
        tenantId: used.userId === undefined ? PEOPLE_TENANT : tenantId,
        action: 'auth.login_passkey',
        principal: used.userId === undefined ? null : `user:${used.userId}`,
        success: fault === undefined,
        ...(fault === undefined ? {} : { code: 'invalid_credentials' }),
        ip: caller.ip,
        requestId: caller.requestId,
        details: 'fault' in used ? { fault } : { passkey: used.passkeyId, ...(fault ? { fault } : {}) },
      });
      if (user === undefined) return { refusal: passkeyRefused() };
      const opened = await open(
        core,
        sql,
        { tenantId, userId: user.id, app: input.app, amr: ['hwk'] },
        caller,
      );
      return { opened, user: toPersonView(user) };
    });
    if ('refusal' in outcome) throw outcome.refusal;
    return { user: outcome.user, tokens: await mint(core, outcome.opened) };
  };
  const account = `passkey ${tenantId} ${sha256(assertion.id).toString('base64url')}`;
  return core.guesses.guard({ account, ip: caller.ip, attempt, unguessable: true, onCount });
}

export function askForPasskeyLogin(
  core: IdentityCore,
  tenantId = PEOPLE_TENANT,
): ReturnType<typeof askForPasskey> {
  return askForPasskey(core, toPasskeyLogin(tenantId));
}

/** Uses up a code or a signature of the person's own, inside the caller's transaction. */
export async function consumeProof(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  attempt: { proof: FactorProof; use: ChallengeUse; caller: Caller },
): Promise<Judged> {
  const { proof, use, caller } = attempt;
  if ('assertion' in proof) {
    const bound = { ...use, challengeId: proof.challengeId, userId: person.userId };
    const used = await consumeAssertion(core, sql, bound, proof.assertion);
    return 'fault' in used ? { refusal: passkeyRefused(), fault: used.fault } : { method: 'hwk' };
  }
  const used = await consumeFactorCode(core, sql, person, { code: proof.code, caller });
  if ('method' in used && used.method === 'rcv') {
    const { recoveryCodesLeft } = await findFactors(sql, person);
    await mailChange(core, sql, person, `a recovery code was used, ${recoveryCodesLeft} are left`);
  }
  return used;
}

async function judge(
  core: IdentityCore,
  sql: Sql,
  login: MfaLogin,
  { proof, caller }: { proof: FactorProof; caller: Caller },
): Promise<Outcome> {
  const action = 'auth.login_mfa';
  const claimed = await claimTry(core, sql, login, caller);
  const user = claimed ? await lockMfaUser<PersonView>(sql, login) : undefined;
  if (user === undefined) {
    await auditFactor(sql, login, { action, code: 'invalid_token' }, caller);
    return { refusal: deadMfaToken() };
  }
  const used = await consumeProof(core, sql, login, { proof, use: challengeOf(login), caller });
  if ('refusal' in used) {
    const details = used.fault === undefined ? {} : { fault: used.fault };
    await auditFactor(sql, login, { action, code: used.refusal.code, details }, caller);
    return { refusal: used.refusal };
  }
  await closeMfaToken(core, sql, login);
  await auditFactor(sql, login, { action, details: { method: used.method } }, caller);
  const opened = await open(core, sql, { ...login, amr: ['pwd', used.method] }, caller);
  return { opened, user: toPersonView(user) };
}

async function requireMfaLogin(core: IdentityCore, mfaToken: string, caller: Caller): Promise<MfaLogin> {
  const login = await findMfaLogin(core, mfaToken, caller);
  if (login !== undefined) return login;
  await appendAudit(core.db.sql, {
    tenantId: PEOPLE_TENANT,
    action: 'auth.login_mfa',
    principal: null,
    success: false,
    code: 'invalid_token',
    ip: caller.ip,
    requestId: caller.requestId,
  });
  throw deadMfaToken();
}

async function lockPerson(sql: Sql, { tenantId, userId }: Person): Promise<PersonView | undefined> {
  const [user] = await sql<PersonView>(
    `SELECT id, username, email, role FROM users
     WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL AND verified_at IS NOT NULL FOR SHARE`,
    [tenantId, userId],
  );
  return user;
}

function open(
  core: IdentityCore,
  sql: Sql,
  login: Person & { app?: string | null | undefined; amr: ProofMethod[] },
  caller: Caller,
): Promise<OpenedSession> {
  return openSession(core, sql, {
    tenantId: login.tenantId,
    kind: 'user',
    id: login.userId,
    clientId: null,
    scopes: null,
    app: login.app ?? undefined,
    amr: login.amr,
    caller,
  });
}

function challengeOf({ tenantId, hash }: MfaLogin): ChallengeUse {
  return { tenantId, purpose: 'mfa', subject: hash.toString('hex') };
}

function toPasskeyLogin(tenantId: number): ChallengeUse {
  return { tenantId, purpose: 'login', subject: '' };
}

function passkeyRefused(): AppError {
  return new AppError('invalid_credentials', { message: 'The passkey was not accepted: begin again.' });
}

function deadMfaToken(): AppError {
  return new AppError('invalid_token', { message: 'This login is over: begin again with the password.' });
}
