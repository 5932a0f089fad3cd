import { AppError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { createGate } from '../gate.ts';
import type { Gate } from '../gate.ts';
import { NOBODY } from './accounts.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { isKnownNetwork } from './known-networks.ts';
import { openMfaToken } from './mfa-tokens.ts';
import { isStorable, keyOf, loginBy } from './names.ts';
import { findFactors, methodsOf } from './second-factors.ts';
import type { FactorMethod } from './second-factors.ts';
import { mint, openSession } from './sessions.ts';
import type { TokenSet } from './sessions.ts';

/** Username or e-mail address, and a password. */
export interface Credentials {
  /** What was typed: an address when it has an `@`. */
  name: string;
  password: string;
  app?: string | undefined;
  /** Where the account lives; PEOPLE_TENANT when left out. */
  tenantId?: number | undefined;
  /** Whether whoever asks can go on with a second step; a socket cannot. */
  secondStep?: boolean | undefined;
  /** The solution of a challenge, when one was asked for. */
  altcha?: string | undefined;
}

export interface LoggedIn {
  user: PersonView;
  tokens: TokenSet;
}

/** A person as shown to themselves and to administrators. */
export interface PersonView {
  id: string;
  username: string;
  email: string;
  role: string;
}

/** Logins under way at a time: enough that hashing never waits for a look-up. */
const UNDER_WAY = 4;
/** Waiting ones: 25 ms each, so the last in the queue waits some 6 s. */
const MOST_WAITING = 256;

/** Without it the look-ups of a whole morning's logins would hold up sync together, before the first of them is hashed. */
export function createLoginGate(): Gate {
  return createGate(UNDER_WAY, MOST_WAITING);
}

/**
 * Logs a person in within the limits on guessing, which HTTP and sockets share. Throws `mfa_required` when the password was right
 * and a second factor is due, `rate_limited`, `proof_of_work_required`, `address_refused` and what `logIn` throws.
 */
export async function logInGuarded(
  core: IdentityCore,
  credentials: Credentials,
  caller: Caller,
  onCount?: CountListener,
): Promise<LoggedIn> {
  if (!isStorable(credentials.name)) throw new AppError('invalid_request');
  await core.addressRules.requireAllowed(tenantOf(credentials), caller);
  return core.logins(() => guardLogIn(core, credentials, caller, onCount));
}

async function guardLogIn(
  core: IdentityCore,
  credentials: Credentials,
  caller: Caller,
  onCount: CountListener | undefined,
): Promise<LoggedIn> {
  const { account, userId } = await findAccount(core, credentials);
  const person = { tenantId: tenantOf(credentials), userId };
  const outcome = await core.guesses.guard({
    account,
    typed: loginBy(person.tenantId, credentials.name),
    ip: caller.ip,
    attempt: () => logIn(core, credentials, caller),
    isKnownNetwork: (network) => isKnownNetwork(core.db.sql, person, network),
    prove: () => core.proofs.require('login', credentials.altcha, caller),
    onCount,
  });
  if ('user' in outcome) return outcome;
  const { mfaToken, methods } = outcome;
  throw new AppError(
    'mfa_required',
    mfaToken === undefined ? {} : { members: { mfa_token: mfaToken, methods } },
  );
}

/** The password was right, and nothing is opened before a second factor is proved as well (S37). */
export interface SecondFactorDue {
  methods: FactorMethod[];
  mfaToken: string | undefined;
}

/**
 * Logs a person in, always to a new session (S20). Throws `invalid_credentials`, `email_not_verified` (only to who knows the
 * password), `busy`.
 */
export async function logIn(
  core: IdentityCore,
  credentials: Credentials,
  caller: Caller,
): Promise<LoggedIn | SecondFactorDue> {
  const tenantId = tenantOf(credentials);
  const { user, refusal } = await checkPassword(core, credentials);
  const opened = await core.db.transaction(async ({ sql }) => {
    const wrong = refusal ?? (await findChange(sql, tenantId, user));
    const methods = wrong === undefined ? await findDue(sql, tenantId, user) : [];
    const code = wrong ?? (methods.length > 0 ? 'mfa_required' : undefined);
    await appendAudit(sql, {
      // a tenant that nobody belongs to may not exist: its log is not written to
      tenantId: user === undefined ? PEOPLE_TENANT : tenantId,
      action: 'auth.login',
      principal: user === undefined ? null : `user:${user.id}`,
      success: code === undefined,
      ...(code === undefined ? {} : { code }),
      ip: caller.ip,
      requestId: caller.requestId,
    });
    if (wrong !== undefined || user === undefined) return undefined;
    if (methods.length > 0) {
      return { methods, mfaToken: await openSecondStep(core, sql, { ...credentials, user }, caller) };
    }
    return openSession(core, sql, {
      tenantId,
      kind: 'user',
      id: user.id,
      clientId: null,
      scopes: null,
      app: credentials.app,
      amr: ['pwd'],
      caller,
    });
  });
  if (opened === undefined || user === undefined) throw new AppError(refusal ?? 'invalid_credentials');
  if ('methods' in opened) return opened;
  return { user: toPersonView(user), tokens: await mint(core, opened) };
}

/** What has to follow the password; empty: nothing. */
async function findDue(sql: Sql, tenantId: number, user: Candidate | undefined): Promise<FactorMethod[]> {
  return user === undefined ? [] : methodsOf(await findFactors(sql, { tenantId, userId: user.id }));
}

async function openSecondStep(
  core: IdentityCore,
  sql: Sql,
  login: Credentials & { user: Candidate },
  caller: Caller,
): Promise<string | undefined> {
  if (login.secondStep !== true) return undefined;
  const { id: userId, password_hash: passwordHash } = login.user;
  return openMfaToken(core, sql, { tenantId: tenantOf(login), userId, passwordHash, app: login.app }, caller);
}

export function toPersonView(row: PersonView): PersonView {
  return { id: row.id, username: row.username, email: row.email, role: row.role };
}

interface Candidate extends PersonView {
  password_hash: string;
  verified: boolean;
  disabled: boolean;
}

/**
 * Two rows can be meant: the verified owner of an address and the newest pending sign-up for it, and no older one, whether there is
 * an owner or not. Whatever the outcome but success, two hashes are computed, so that time tells nothing of which rows exist (S29).
 */
async function checkPassword(
  core: IdentityCore,
  credentials: Credentials,
): Promise<{ user?: Candidate; refusal?: ErrorCode }> {
  const { password } = credentials;
  const [first, second] = await findCandidates(core, credentials);
  if (await core.passwords.verify(first?.password_hash, password)) {
    if (first?.verified === true && !first.disabled) return { user: first };
    await core.passwords.verify(undefined, password);
    return judge(first);
  }
  return (await core.passwords.verify(second?.password_hash, password))
    ? judge(second)
    : first?.verified === true
      ? { user: first, refusal: 'invalid_credentials' }
      : {};
}

/** The password was right, but the account cannot be used. */
function judge(user: Candidate | undefined): { user?: Candidate; refusal?: ErrorCode } {
  if (user === undefined) return {};
  return { user, refusal: user.verified ? 'invalid_credentials' : 'email_not_verified' };
}

/** The same for an account's username and its address, which strangers use up together; NOBODY's for an unknown one. */
async function findAccount(
  core: IdentityCore,
  credentials: Credentials,
): Promise<{ account: string; userId: string }> {
  const [first] = await findCandidates(core, credentials);
  const userId = first?.verified === true ? first.id : NOBODY;
  const account = userId === NOBODY ? loginBy(tenantOf(credentials), credentials.name) : `login ${userId}`;
  return { account, userId };
}

/**
 * The password was right a moment ago. Locking the row holds up a change of it until this session is there to be ended; one that
 * came first is seen here (S21).
 */
async function findChange(
  sql: Sql,
  tenantId: number,
  user: Candidate | undefined,
): Promise<ErrorCode | undefined> {
  if (user === undefined) return 'invalid_credentials';
  const same = await sql(
    'SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2 AND password_hash = $3 FOR SHARE',
    [tenantId, user.id, user.password_hash],
  );
  return same.length === 0 ? 'invalid_credentials' : undefined;
}

function tenantOf({ tenantId = PEOPLE_TENANT }: Credentials): number {
  return tenantId;
}

async function findCandidates(core: IdentityCore, credentials: Credentials): Promise<Candidate[]> {
  const { name } = credentials;
  const rows = `SELECT id, username, email, role, password_hash, verified_at IS NOT NULL AS verified,
                       disabled_at IS NOT NULL AS disabled
                FROM users WHERE tenant_id = $1 AND ${columnFor(name)} = $2`;
  return core.db.sql<Candidate>(
    `(${rows} AND verified_at IS NOT NULL LIMIT 1)
     UNION ALL (${rows} AND verified_at IS NULL ORDER BY created_at DESC LIMIT 1)
     ORDER BY verified DESC`,
    [tenantOf(credentials), keyOf(name)],
  );
}

function columnFor(name: string): 'email_key' | 'username_key' {
  return name.includes('@') ? 'email_key' : 'username_key';
}
