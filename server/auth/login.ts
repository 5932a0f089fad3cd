import { AppError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { isStorable, keyOf } from './names.ts';
import { mint, openSession } from './sessions.ts';
import type { TokenSet } from './sessions.ts';

/** Username or e-mail address, and a password. */
export interface Credentials {
  /** What was typed: an address when it has an `@`. */
  name: string;
  password: string;
  app?: string | undefined;
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

/**
 * Logs a person in within the limits on guessing, which HTTP and sockets share. Throws `rate_limited` and what `logIn` throws.
 */
export async function logInGuarded(
  core: IdentityCore,
  credentials: Credentials,
  caller: Caller,
  onCount?: CountListener,
): Promise<LoggedIn> {
  const { name } = credentials;
  if (!isStorable(name)) throw new AppError('invalid_request');
  return core.guesses.guard({
    account: `login ${await findAccountKey(core, name)}`,
    ip: caller.ip,
    attempt: () => logIn(core, credentials, caller),
    isKnownAddress: (ip) => isKnownAddress(core, name, ip),
    onCount,
  });
}

/**
 * Logs a person in, always to a new session (S20). Throws `invalid_credentials`, `email_not_verified` (only to who knows the
 * password), `busy`.
 */
export async function logIn(core: IdentityCore, credentials: Credentials, caller: Caller): Promise<LoggedIn> {
  const { user, refusal } = await checkPassword(core, credentials);
  const opened = await core.db.transaction(async ({ sql }) => {
    const code = refusal ?? (user === undefined ? 'invalid_credentials' : undefined);
    await appendAudit(sql, {
      tenantId: PEOPLE_TENANT,
      action: 'auth.login',
      principal: user === undefined ? null : `user:${user.id}`,
      success: code === undefined,
      ...(code === undefined ? {} : { code }),
      ip: caller.ip,
      requestId: caller.requestId,
    });
    if (code !== undefined || user === undefined) return undefined;
    return openSession(core, sql, {
      tenantId: PEOPLE_TENANT,
      kind: 'user',
      id: user.id,
      clientId: null,
      scopes: null,
      app: credentials.app,
      caller,
    });
  });
  if (opened === undefined || user === undefined) throw new AppError(refusal ?? 'invalid_credentials');
  return { user: toPersonView(user), tokens: await mint(core, opened) };
}

/** Whether an address has a session of this account: it is let through when strangers have used up the account's limit (S30). */
async function isKnownAddress(core: IdentityCore, name: string, ip: string): Promise<boolean> {
  const rows = await core.db.sql(
    `SELECT 1 FROM users u JOIN sessions s
       ON s.tenant_id = u.tenant_id AND s.principal_kind = 'user' AND s.principal_id = u.id AND s.ip = $3
     WHERE u.tenant_id = $1 AND u.verified_at IS NOT NULL AND ${columnFor(name)} = $2 LIMIT 1`,
    [PEOPLE_TENANT, keyOf(name), ip],
  );
  return rows.length > 0;
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
 * At most two rows can be meant: the verified owner of an address and the newest pending sign-up for it. Whatever the outcome
 * but success, two hashes are computed, so that time tells nothing of which rows exist (S29).
 */
async function checkPassword(
  core: IdentityCore,
  { name, password }: Credentials,
): Promise<{ user?: Candidate; refusal?: ErrorCode }> {
  const [first, second] = await findCandidates(core, name);
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

/** The same for an account's username and its address, so that the two do not count apart. */
async function findAccountKey(core: IdentityCore, name: string): Promise<string> {
  const [first] = await findCandidates(core, name);
  return first?.verified === true ? first.id : keyOf(name);
}

async function findCandidates(core: IdentityCore, name: string): Promise<Candidate[]> {
  return core.db.sql<Candidate>(
    `SELECT id, username, email, role, password_hash, verified_at IS NOT NULL AS verified,
            disabled_at IS NOT NULL AS disabled
     FROM users WHERE tenant_id = $1 AND ${columnFor(name)} = $2
     ORDER BY verified_at NULLS LAST, created_at DESC LIMIT 2`,
    [PEOPLE_TENANT, keyOf(name)],
  );
}

function columnFor(name: string): 'email_key' | 'username_key' {
  return name.includes('@') ? 'email_key' : 'username_key';
}
