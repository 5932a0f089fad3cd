import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import type { Sql } from '../db.ts';
import { alreadyRegisteredMail, verificationMail } from '../mail-texts.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { keyOf } from './names.ts';
import { consumeCode, countCodes, createCode, endCodesOfAddress } from './one-time-codes.ts';
import { requireAcceptablePassword } from './passwords.ts';

export const RESEND_JOB = 'resend_verification';
export const MAIL_JOB = 'mail';

const HOUR_MS = 3_600_000;
/** How long a sign-up that is never verified reserves its username. */
const PENDING_MS = 48 * HOUR_MS;
/** Mails that strangers can cause to one address in an hour. */
export const MAILS_PER_HOUR = 5;
/** An account that does not exist. */
export const NOBODY = '00000000-0000-0000-0000-000000000000';
/** Pending sign-ups of one address that a resend serves. */
const RESEND_FLOWS = 3;

/** Said to everybody who gave an address, so that it tells nothing of what is pending there (S29). */
const NAME_YOURSELF =
  'The code is wrong, used or too old; or several sign-ups wait for this address: then give your username, which the mail names.';

export interface SignUp {
  username: string;
  email: string;
  password: string;
  /** The solution of a challenge, when one was asked for. */
  altcha?: string | undefined;
}

/**
 * Signs somebody up. A taken e-mail takes the same steps and gives the same answer (S29): the row reserves its username but
 * nobody learns its code, and the address gets a mail that says so. Several people may have a sign-up pending for one address;
 * each has its own password and its own code, so whoever reads the mail decides which one counts.
 * Returns the account's id. Throws `signup_closed`, `username_taken`, `password_refused`, `invalid_request`, `busy`,
 * `address_refused`, `proof_of_work_required`.
 */
export async function signUp(core: IdentityCore, input: SignUp, caller: Caller): Promise<string> {
  if (core.config.SIGNUP === 'closed') throw new AppError('signup_closed');
  await core.addressRules.requireAllowed(PEOPLE_TENANT, caller);
  if (await core.suspicion.ofSignUp(caller.ip)) await core.proofs.require('signup', input.altcha, caller);
  const localPart = input.email.slice(0, input.email.lastIndexOf('@'));
  requireAcceptablePassword(input.password, [input.username, input.email, localPart]);
  const passwordHash = await core.passwords.hash(input.password);
  const id = randomUUID();
  const created = await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, keyOf(input.email));
    const inserted = await insertPending(core, sql, { ...input, id, passwordHash });
    if (inserted) await mailSignUp(core, sql, { ...input, id });
    await appendAudit(
      sql,
      eventOf('auth.signup', caller, {
        userId: inserted ? id : undefined,
        ...refusalOf(inserted, 'username_taken'),
      }),
    );
    return inserted;
  });
  if (!created) throw new AppError('username_taken');
  core.jobs.wake();
  return id;
}

/**
 * Verifies an address by its code. The first person ever verified in the tenant becomes its owner.
 * An e-mail address alone names an account only while a single sign-up is pending for it: with several, whoever types in the code
 * of the newest mail could confirm a stranger's password. Throws `invalid_code`, always alike, whatever the reason: unknown
 * address, several sign-ups, wrong, used or old code, too many tries, an address that somebody has.
 */
export async function verifyEmail(
  core: IdentityCore,
  input: { email?: string | undefined; username?: string | undefined; code: string },
  caller: Caller,
): Promise<void> {
  await core.addressRules.requireAllowed(PEOPLE_TENANT, caller);
  const named = await findCodeTarget(core, input);
  const userId = await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, named.emailKey);
    const target = { ...named, userId: named.userId ?? (await findOnlyPending(core, sql, named.emailKey)) };
    const right = await consumeCode(core, sql, {
      tenantId: PEOPLE_TENANT,
      purpose: 'verify_email',
      code: input.code,
      ...target,
    });
    const isActive = right !== undefined && (await activate(core, sql, right, named.emailKey));
    const userId = isActive ? right : undefined;
    await appendAudit(
      sql,
      eventOf('auth.verify_email', caller, { userId, ...refusalOf(isActive, 'invalid_code') }),
    );
    return userId;
  });
  if (userId !== undefined) return;
  throw new AppError('invalid_code', input.username === undefined ? { message: NAME_YOURSELF } : {});
}

/** Asks for another code. Known or not, the request only leaves a job, so that its answer takes the same time (S29). */
export async function requestResend(core: IdentityCore, email: string, caller: Caller): Promise<void> {
  await core.addressRules.requireAllowed(PEOPLE_TENANT, caller);
  await core.db.transaction(async ({ sql }) => {
    await core.jobs.enqueue(sql, {
      tenantId: PEOPLE_TENANT,
      kind: RESEND_JOB,
      payload: { emailKey: keyOf(email) },
    });
    await appendAudit(sql, eventOf('auth.resend', caller, {}));
  });
  core.jobs.wake();
}

/** Handler of RESEND_JOB: a fresh code for each pending sign-up of the address, at most five mails an hour (S25). */
export async function resendVerification(core: IdentityCore, emailKey: string): Promise<void> {
  await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, emailKey);
    const pending = await findPending(core, sql, emailKey);
    const holder = await findHolder(sql, emailKey);
    const room = await findRoom(core, sql, emailKey);
    for (const user of pending.slice(0, room)) await mailCode(core, sql, user, holder);
  });
  core.jobs.wake();
}

interface PendingUser {
  id: string;
  username: string;
  email: string;
}

async function insertPending(
  core: IdentityCore,
  sql: Sql,
  user: SignUp & { id: string; passwordHash: string },
): Promise<boolean> {
  const now = core.clock();
  await claimUsername(core, sql, PEOPLE_TENANT, keyOf(user.username));
  const rows = await sql(
    `INSERT INTO users (tenant_id, id, username, username_key, email, email_key, password_hash, role, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'member', $8)
     ON CONFLICT (tenant_id, username_key) DO NOTHING RETURNING 1`,
    [
      PEOPLE_TENANT,
      user.id,
      user.username,
      keyOf(user.username),
      user.email,
      keyOf(user.email),
      user.passwordHash,
      new Date(now),
    ],
  );
  return rows.length > 0;
}

/** Frees a username that a sign-up has reserved and never used. */
export async function claimUsername(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  usernameKey: string,
): Promise<void> {
  await sql(
    `DELETE FROM users WHERE tenant_id = $1 AND username_key = $2 AND verified_at IS NULL AND created_at < $3`,
    [tenantId, usernameKey, new Date(core.clock() - PENDING_MS)],
  );
}

/** Over the limit of an hour the sign-up gets no mail; a resend makes up for that later (S25). */
async function mailSignUp(core: IdentityCore, sql: Sql, user: PendingUser): Promise<void> {
  const emailKey = keyOf(user.email);
  if ((await findRoom(core, sql, emailKey)) === 0) return;
  await mailCode(core, sql, user, await findHolder(sql, emailKey));
}

/** Mails that may still go to an address in this hour: those of sign-ups and of resends count together. */
async function findRoom(core: IdentityCore, sql: Sql, emailKey: string): Promise<number> {
  const address = { tenantId: PEOPLE_TENANT, emailKey, purpose: 'verify_email' } as const;
  return Math.max(0, MAILS_PER_HOUR - (await countCodes(sql, address, core.clock() - HOUR_MS)));
}

/** A code is made in any case, which is counted and costs the same (S29); a taken address gets another mail, without it. */
async function mailCode(
  core: IdentityCore,
  sql: Sql,
  user: PendingUser,
  holder: string | undefined,
): Promise<void> {
  const code = await createCode(core, sql, {
    tenantId: PEOPLE_TENANT,
    purpose: 'verify_email',
    userId: user.id,
    emailKey: keyOf(user.email),
  });
  const mail =
    holder === undefined
      ? verificationMail(user, code, core.issuer())
      : alreadyRegisteredMail({ email: user.email, username: holder }, core.issuer());
  await core.jobs.enqueue(sql, { tenantId: PEOPLE_TENANT, kind: MAIL_JOB, payload: mail });
}

/** The username of whoever has the address. */
async function findHolder(sql: Sql, emailKey: string): Promise<string | undefined> {
  const [row] = await sql<{ username: string }>(
    'SELECT username FROM users WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NOT NULL',
    [PEOPLE_TENANT, emailKey],
  );
  return row?.username;
}

/** Also those of an address that is taken by now, whose codes verify nothing any more: the same work for both (S29). */
async function findPending(core: IdentityCore, sql: Sql, emailKey: string): Promise<PendingUser[]> {
  return sql<PendingUser>(
    `SELECT id, username, email FROM users
     WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NULL AND created_at > $3
     ORDER BY created_at DESC LIMIT $4`,
    [PEOPLE_TENANT, emailKey, new Date(core.clock() - PENDING_MS), RESEND_FLOWS],
  );
}

/** An unknown username gets the address '', which no code has: the same statements run. */
async function findCodeTarget(
  core: IdentityCore,
  input: { email?: string | undefined; username?: string | undefined },
): Promise<{ emailKey: string; userId?: string }> {
  if (input.email !== undefined) return { emailKey: keyOf(input.email) };
  const [row] = await core.db.sql<{ id: string; email_key: string }>(
    'SELECT id, email_key FROM users WHERE tenant_id = $1 AND username_key = $2',
    [PEOPLE_TENANT, keyOf(input.username ?? '')],
  );
  return row === undefined ? { emailKey: '' } : { emailKey: row.email_key, userId: row.id };
}

/** The one account that waits for a code of this address; an account that does not exist when there are none or several. */
async function findOnlyPending(core: IdentityCore, sql: Sql, emailKey: string): Promise<string> {
  const [first, ...others] = await findPending(core, sql, emailKey);
  return first === undefined || others.length > 0 ? NOBODY : first.id;
}

/**
 * Locking the tenant's row makes "first" unambiguous when two verify at once. Says whether the address was still free: somebody
 * else may have it by now.
 */
async function activate(core: IdentityCore, sql: Sql, userId: string, emailKey: string): Promise<boolean> {
  await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [PEOPLE_TENANT]);
  const activated = await sql(
    `UPDATE users SET verified_at = $3, changed_at = clock_timestamp(),
       role = CASE WHEN EXISTS (SELECT 1 FROM users WHERE tenant_id = $1 AND verified_at IS NOT NULL)
                   THEN role ELSE 'owner' END
     WHERE tenant_id = $1 AND id = $2
       AND NOT EXISTS (SELECT 1 FROM users WHERE tenant_id = $1 AND email_key = $4 AND verified_at IS NOT NULL)
     RETURNING 1`,
    [PEOPLE_TENANT, userId, new Date(core.clock()), emailKey],
  );
  await endCodesOfAddress(core, sql, { tenantId: PEOPLE_TENANT, emailKey, purpose: 'verify_email' });
  return activated.length > 0;
}

/**
 * Whether the next account becomes the owner: nobody has one yet, and whoever comes may sign up. Once somebody has, it tells nothing
 * more, and is not looked up again.
 */
export function createFirstCheck(core: IdentityCore): () => Promise<boolean> {
  let isOver = core.config.SIGNUP === 'closed';
  return async () => {
    if (isOver) return false;
    const [row] = await core.db.sql(
      'SELECT 1 FROM users WHERE tenant_id = $1 AND verified_at IS NOT NULL LIMIT 1',
      [PEOPLE_TENANT],
    );
    isOver = row !== undefined;
    return !isOver;
  };
}

/** One at a time for each address, so that counts hold and rows are locked in one order. */
export async function lockAddress(sql: Sql, emailKey: string, tenantId = PEOPLE_TENANT): Promise<void> {
  await sql('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [`address ${tenantId} ${emailKey}`]);
}

function refusalOf(success: boolean, code: string): { code?: string } {
  return success ? {} : { code };
}

function eventOf(
  action: string,
  caller: Caller,
  outcome: { userId?: string | undefined; code?: string },
): AuditEvent {
  return {
    tenantId: PEOPLE_TENANT,
    action,
    principal: outcome.userId === undefined ? null : `user:${outcome.userId}`,
    success: outcome.code === undefined,
    ...(outcome.code === undefined ? {} : { code: outcome.code }),
    ip: caller.ip,
    requestId: caller.requestId,
  };
}
