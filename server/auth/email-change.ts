import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { addressChangedMail, addressTakenMail, newAddressMail, oldAddressMail } from '../mail-texts.ts';
import type { Mail } from '../mail.ts';
import { auditAct } from './audit-act.ts';
import { lockAddress, MAIL_JOB, MAILS_PER_HOUR } from './accounts.ts';
import type { Caller, IdentityCore } from './core.ts';
import { keyOf } from './names.ts';
import { consumeBothCodes, countCodes, createCode, endCodes, endCodesOfAddress } from './one-time-codes.ts';
import type { CodePurpose } from './one-time-codes.ts';
import type { Principal } from './principal.ts';
import { requireProfile } from './profile.ts';
import type { ProfileView } from './profile.ts';
import { endSessions } from './revocations.ts';

/** Another address, confirmed at the old one and at the new one: neither a stolen session nor a stolen mailbox is enough. */

const HOUR_MS = 3_600_000;
const PURPOSES: readonly CodePurpose[] = ['change_email_old', 'change_email_new'];

/**
 * Mails a code to the old address and another to the new one. A new address that has an account gets a mail that says so and no
 * code; the answer is the same (S29). A change asked for before is dead. Throws `rate_limited`.
 */
export async function requestEmailChange(
  core: IdentityCore,
  person: Principal,
  newEmail: string,
  caller: Caller,
): Promise<void> {
  const { tenantId, id } = person;
  const newKey = keyOf(newEmail);
  const refusal = await core.db.transaction(async ({ sql }) => {
    await lockPerson(sql, person);
    const profile = await requireProfile(sql, tenantId, id);
    const oldKey = keyOf(profile.email);
    await lockAddresses(sql, tenantId, [oldKey, newKey]);
    const code = await findRefusal(core, sql, { tenantId, oldKey, newKey });
    await auditAct(sql, person, caller, { action: 'user.email_change_requested', code });
    if (code !== undefined) return code;
    await sql(
      `INSERT INTO email_changes (tenant_id, user_id, new_email, new_email_key, created_at)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (tenant_id, user_id) DO UPDATE
         SET new_email = $3, new_email_key = $4, created_at = $5`,
      [tenantId, id, newEmail, newKey, new Date(core.clock())],
    );
    await mailCodes(core, sql, { tenantId, profile, newEmail });
    return undefined;
  });
  if (refusal === 'rate_limited') throw new AppError('rate_limited', { retryAfterMs: HOUR_MS });
  if (refusal === 'invalid_request') {
    const errors = [{ path: 'new_email', message: 'that is your address already' }];
    throw new AppError('invalid_request', { errors });
  }
  core.jobs.wake();
}

/**
 * Makes the change when both codes are right: other sessions end, and the old address is told. Throws `invalid_code` whichever
 * code was wrong, `rate_limited`.
 */
export async function confirmEmailChange(
  core: IdentityCore,
  person: Principal,
  codes: { oldCode: string; newCode: string },
  caller: Caller,
): Promise<void> {
  const { tenantId, id } = person;
  const attempt = async (): Promise<string[]> => {
    const ended = await core.db.transaction(async ({ sql }) => {
      await lockPerson(sql, person);
      const profile = await requireProfile(sql, tenantId, id);
      const change = await findChange(sql, tenantId, id);
      const oldKey = keyOf(profile.email);
      const newKey = change?.new_email_key ?? '';
      await lockAddresses(sql, tenantId, [oldKey, newKey]);
      const isRight = await consumeBothCodes(core, sql, [
        { tenantId, userId: id, purpose: 'change_email_old', emailKey: oldKey, code: codes.oldCode },
        { tenantId, userId: id, purpose: 'change_email_new', emailKey: newKey, code: codes.newCode },
      ]);
      const isFree = isRight && (await findHolder(sql, tenantId, newKey)) === undefined;
      const code = isFree ? undefined : 'invalid_code';
      await auditAct(sql, person, caller, { action: 'user.email_changed', code });
      if (change === undefined || !isFree) return undefined;
      return replaceAddress(core, sql, { person, profile, ...change });
    });
    if (ended === undefined) throw new AppError('invalid_code');
    return ended;
  };
  const ended = await core.guesses.guard({ account: `email-change ${id}`, ip: caller.ip, attempt });
  core.revocations.announceRevoked(tenantId, ended);
  core.jobs.wake();
}

/** Forgets a change under way; its codes are dead. */
export async function cancelEmailChange(
  core: IdentityCore,
  person: Principal,
  caller: Caller,
): Promise<void> {
  const { tenantId, id } = person;
  await core.db.transaction(async ({ sql }) => {
    await lockPerson(sql, person);
    await sql('DELETE FROM email_changes WHERE tenant_id = $1 AND user_id = $2', [tenantId, id]);
    await endCodes(core, sql, { tenantId, userId: id, purposes: PURPOSES });
    await auditAct(sql, person, caller, { action: 'user.email_change_cancelled' });
  });
}

async function findRefusal(
  core: IdentityCore,
  sql: Sql,
  { tenantId, oldKey, newKey }: { tenantId: number; oldKey: string; newKey: string },
): Promise<'rate_limited' | 'invalid_request' | undefined> {
  if (oldKey === newKey) return 'invalid_request';
  const since = core.clock() - HOUR_MS;
  const old = { tenantId, emailKey: oldKey, purpose: 'change_email_old' } as const;
  const next = { tenantId, emailKey: newKey, purpose: 'change_email_new' } as const;
  const most = Math.max(await countCodes(sql, old, since), await countCodes(sql, next, since));
  return most >= MAILS_PER_HOUR ? 'rate_limited' : undefined;
}

/** Both codes are made in any case; only the mail to a taken address is another. */
async function mailCodes(
  core: IdentityCore,
  sql: Sql,
  change: { tenantId: number; profile: ProfileView; newEmail: string },
): Promise<void> {
  const { tenantId, profile, newEmail } = change;
  const userId = profile.id;
  const newKey = keyOf(newEmail);
  const codes = {
    old: await createCode(core, sql, {
      ...{ tenantId, userId, purpose: 'change_email_old' },
      emailKey: keyOf(profile.email),
    }),
    next: await createCode(core, sql, {
      ...{ tenantId, userId, purpose: 'change_email_new' },
      emailKey: newKey,
    }),
  };
  const base = core.issuer();
  const holder = await findHolder(sql, tenantId, newKey);
  await enqueue(core, sql, tenantId, oldAddressMail(profile, { code: codes.old, newEmail }, base));
  const mail =
    holder === undefined
      ? newAddressMail({ email: newEmail, username: profile.username }, codes.next, base)
      : addressTakenMail({ email: newEmail, username: holder.username }, base);
  await enqueue(core, sql, tenantId, mail);
}

async function replaceAddress(
  core: IdentityCore,
  sql: Sql,
  change: { person: Principal; profile: ProfileView; new_email: string; new_email_key: string },
): Promise<string[]> {
  const { person, profile } = change;
  const { tenantId, id, sessionId } = person;
  await sql('UPDATE users SET email = $3, email_key = $4 WHERE tenant_id = $1 AND id = $2', [
    tenantId,
    id,
    change.new_email,
    change.new_email_key,
  ]);
  await sql('DELETE FROM email_changes WHERE tenant_id = $1 AND user_id = $2', [tenantId, id]);
  // what was mailed to the old address, a code to reset the password among it, is worth nothing now
  await endCodes(core, sql, { tenantId, userId: id, purposes: [...PURPOSES, 'reset_password'] });
  // sign-ups that were waiting for the new address have come too late
  await endCodesOfAddress(core, sql, { tenantId, emailKey: change.new_email_key, purpose: 'verify_email' });
  await enqueue(core, sql, tenantId, addressChangedMail(profile, change.new_email, core.issuer()));
  return endSessions(sql, { tenantId, kind: 'user', id, except: sessionId }, 'email_change');
}

async function findChange(
  sql: Sql,
  tenantId: number,
  userId: string,
): Promise<{ new_email: string; new_email_key: string } | undefined> {
  const [row] = await sql<{ new_email: string; new_email_key: string }>(
    'SELECT new_email, new_email_key FROM email_changes WHERE tenant_id = $1 AND user_id = $2',
    [tenantId, userId],
  );
  return row;
}

async function findHolder(
  sql: Sql,
  tenantId: number,
  emailKey: string,
): Promise<{ username: string } | undefined> {
  const [row] = await sql<{ username: string }>(
    'SELECT username FROM users WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NOT NULL',
    [tenantId, emailKey],
  );
  return row;
}

/** One at a time for each person, before any address: nobody replaces a change while its codes are looked at. */
async function lockPerson(sql: Sql, { tenantId, id }: Principal): Promise<void> {
  await lockAddress(sql, `of ${id}`, tenantId);
}

/** Always in one order, so that two changes the other way round do not wait for each other. */
async function lockAddresses(sql: Sql, tenantId: number, keys: readonly string[]): Promise<void> {
  for (const key of [...new Set(keys)].sort()) await lockAddress(sql, key, tenantId);
}

async function enqueue(core: IdentityCore, sql: Sql, tenantId: number, mail: Mail): Promise<void> {
  await core.jobs.enqueue(sql, { tenantId, kind: MAIL_JOB, payload: mail });
}
