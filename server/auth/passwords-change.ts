import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import type { Sql } from '../db.ts';
import { passwordChangedMail, resetMail } from '../mail-texts.ts';
import { lockAddress, MAIL_JOB, MAILS_PER_HOUR, NOBODY } from './accounts.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { isKnownNetwork } from './known-networks.ts';
import { keyOf, loginBy } from './names.ts';
import { consumeCode, countCodes, createCode, endCodes } from './one-time-codes.ts';
import { requireAcceptablePassword } from './passwords.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { endSessions } from './revocations.ts';

/** Forgotten and changed passwords. A reset gives no session: whoever did it logs in, with the second factor if there is one (S39). */

export const FORGOT_JOB = 'forgotten_password';

const HOUR_MS = 3_600_000;

export interface Address {
  tenantId: number;
  emailKey: string;
}

/** An address as somebody typed it in; the tenant is where people sign up, when none is named. */
export function toAddress(email: string, tenantId = PEOPLE_TENANT): Address {
  return { tenantId, emailKey: keyOf(email) };
}

/**
 * Asks for a code. Known or not, the request only leaves a job, so that its answer takes the same time (S29). Throws
 * `address_refused`, `proof_of_work_required`.
 */
export async function requestReset(
  core: IdentityCore,
  request: Address & { altcha?: string | undefined },
  caller: Caller,
): Promise<void> {
  const { altcha, ...address } = request;
  await core.addressRules.requireAllowed(address.tenantId, caller);
  const about = `${address.tenantId} ${address.emailKey}`;
  if (await core.suspicion.ofForgotten(caller.ip, about)) await core.proofs.require('forgot', altcha, caller);
  await core.db.transaction(async ({ sql }) => {
    // the job and its audit row belong to the house: the tenant that was named may not exist
    const tenantId = PEOPLE_TENANT;
    await core.jobs.enqueue(sql, { tenantId, kind: FORGOT_JOB, payload: address });
    await appendAudit(sql, eventOf('auth.password_forgot', tenantId, caller));
  });
  core.jobs.wake();
}

interface Owner {
  id: string;
  username: string;
  email: string;
  display_name: string | null;
  password_hash: string;
}

/** Handler of FORGOT_JOB: a code for the account of the address, at most five mails an hour; the one before is dead (S25). */
export async function mailReset(core: IdentityCore, address: Address): Promise<void> {
  await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, address.emailKey, address.tenantId);
    const owner = await findOwner(sql, address);
    if (owner === undefined) return;
    const codes = { ...address, purpose: 'reset_password' } as const;
    if ((await countCodes(sql, codes, core.clock() - HOUR_MS)) >= MAILS_PER_HOUR) return;
    const code = await createCode(core, sql, { ...codes, userId: owner.id });
    const mail = resetMail(owner, code, core.issuer());
    await core.jobs.enqueue(sql, { tenantId: address.tenantId, kind: MAIL_JOB, payload: mail });
  });
  core.jobs.wake();
}

export interface Reset {
  email: string;
  code: string;
  password: string;
  tenantId?: number | undefined;
}

/**
 * Sets a new password by a mailed code, and ends every session of the account. An unknown address costs as much as a wrong code
 * and is answered alike. Throws `invalid_code`, `password_refused`, `invalid_request`, `rate_limited`, `busy`.
 */
export async function resetPassword(
  core: IdentityCore,
  reset: Reset,
  caller: Caller,
  onCount?: CountListener,
): Promise<void> {
  const address = toAddress(reset.email, reset.tenantId);
  await core.addressRules.requireAllowed(address.tenantId, caller);
  const localPart = reset.email.slice(0, reset.email.lastIndexOf('@'));
  requireAcceptablePassword(reset.password, [reset.email, localPart]);
  await core.guesses.guard({
    account: `reset ${address.tenantId} ${address.emailKey}`,
    ip: caller.ip,
    attempt: () => tryReset(core, address, reset, caller),
    onCount,
  });
}

async function tryReset(
  core: IdentityCore,
  address: Address,
  { code, password }: Reset,
  caller: Caller,
): Promise<void> {
  const { tenantId } = address;
  const passwordHash = await core.passwords.hash(password);
  const outcome = await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, address.emailKey, tenantId);
    const owner = await findOwner(sql, address);
    const attempt = { ...address, purpose: 'reset_password', userId: owner?.id ?? NOBODY, code } as const;
    const consumed = await consumeCode(core, sql, attempt);
    if (owner === undefined || consumed === undefined) {
      const known = owner === undefined ? PEOPLE_TENANT : tenantId;
      const refused = { userId: owner?.id, code: 'invalid_code' };
      await appendAudit(sql, eventOf('auth.password_reset', known, caller, refused));
      return undefined;
    }
    // said to whoever read the mail alone; thrown here it leaves the code as it was
    requireAcceptablePassword(password, [owner.username]);
    await sql('UPDATE users SET password_hash = $3 WHERE tenant_id = $1 AND id = $2', [
      tenantId,
      owner.id,
      passwordHash,
    ]);
    const ended = await endSessions(sql, { tenantId, kind: 'user', id: owner.id }, 'password_reset');
    await mailChanged(core, sql, tenantId, owner);
    const done = { userId: owner.id, details: { sessions: ended.length } };
    await appendAudit(sql, eventOf('auth.password_reset', tenantId, caller, done));
    return { ended, userId: owner.id };
  });
  if (outcome === undefined) throw new AppError('invalid_code');
  // who reads the mail is no stranger: an attack on the old password does not keep them out (S30)
  await core.guesses.forgive(`login ${outcome.userId}`);
  core.revocations.announceRevoked(tenantId, outcome.ended);
  core.jobs.wake();
}

const SAME = 'Both passwords are the same: choose another one.';

/**
 * Sets a new password for who knows the present one, and ends the person's other sessions. Guesses count together with those of a
 * login. Returns how many sessions ended. Throws `invalid_credentials`, `password_refused`, `invalid_request`, `rate_limited`, `busy`.
 */
export async function changePassword(
  core: IdentityCore,
  person: Principal,
  passwords: { current: string; next: string },
  { caller, onCount }: { caller: Caller; onCount?: CountListener | undefined },
): Promise<number> {
  const { tenantId, id, sessionId } = person;
  if (passwords.next === passwords.current) throw new AppError('password_refused', { message: SAME });
  const owner = await requireOwner(core.db.sql, tenantId, id);
  const localPart = owner.email.slice(0, owner.email.lastIndexOf('@'));
  requireAcceptablePassword(passwords.next, [owner.username, owner.email, localPart]);
  const attempt = async (): Promise<string[]> => {
    const isRight = await core.passwords.verify(owner.password_hash, passwords.current);
    const passwordHash = isRight ? await core.passwords.hash(passwords.next) : undefined;
    const ended = await core.db.transaction(async ({ sql }) => {
      const changed =
        passwordHash !== undefined && (await replacePassword(sql, { tenantId, owner, passwordHash }));
      if (!changed) {
        const refused = { userId: id, code: 'invalid_credentials' };
        await appendAudit(sql, eventOf('auth.password_change', tenantId, caller, refused));
        return undefined;
      }
      const others = { tenantId, kind: 'user', id, except: sessionId } as const;
      const sessions = await endSessions(sql, others, 'password_change');
      await endCodes(core, sql, { tenantId, userId: id, purposes: ['reset_password'] });
      await mailChanged(core, sql, tenantId, owner);
      const done = { userId: id, details: { sessions: sessions.length } };
      await appendAudit(sql, eventOf('auth.password_change', tenantId, caller, done));
      return sessions;
    });
    if (ended === undefined) throw new AppError('invalid_credentials');
    return ended;
  };
  const ended = await core.guesses.guard({
    account: `login ${id}`,
    typed: loginBy(tenantId, owner.username),
    ip: caller.ip,
    attempt,
    isKnownNetwork: (network) => isKnownNetwork(core.db.sql, { tenantId, userId: id }, network),
    onCount,
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.jobs.wake();
  return ended.length;
}

/** Of parallel changes one wins: the password is still the one that was checked. */
async function replacePassword(
  sql: Sql,
  change: { tenantId: number; owner: Owner; passwordHash: string },
): Promise<boolean> {
  const { tenantId, owner, passwordHash } = change;
  const rows = await sql(
    'UPDATE users SET password_hash = $4 WHERE tenant_id = $1 AND id = $2 AND password_hash = $3 RETURNING 1',
    [tenantId, owner.id, owner.password_hash, passwordHash],
  );
  return rows.length > 0;
}

async function mailChanged(core: IdentityCore, sql: Sql, tenantId: number, owner: Owner): Promise<void> {
  const mail = passwordChangedMail(owner, core.issuer());
  await core.jobs.enqueue(sql, { tenantId, kind: MAIL_JOB, payload: mail });
}

/** The account that may get a new password by this address: verified, and not disabled. */
async function findOwner(sql: Sql, { tenantId, emailKey }: Address): Promise<Owner | undefined> {
  const [row] = await sql<Owner>(
    `SELECT id, username, display_name, email, password_hash FROM users
     WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NOT NULL AND disabled_at IS NULL`,
    [tenantId, emailKey],
  );
  return row;
}

async function requireOwner(sql: Sql, tenantId: number, id: string): Promise<Owner> {
  const [row] = await sql<Owner>(
    'SELECT id, username, display_name, email, password_hash FROM users WHERE tenant_id = $1 AND id = $2',
    [tenantId, id],
  );
  if (row === undefined) throw new AppError('revoked');
  return row;
}

function eventOf(
  action: string,
  tenantId: number,
  caller: Caller,
  outcome: { userId?: string | undefined; code?: string; details?: Record<string, unknown> } = {},
): AuditEvent {
  const { userId, code, details } = outcome;
  return {
    tenantId,
    action,
    principal: userId === undefined ? null : principalKey({ kind: 'user', id: userId }),
    success: code === undefined,
    ...(code === undefined ? {} : { code }),
    ...(details === undefined ? {} : { details }),
    ip: caller.ip,
    requestId: caller.requestId,
  };
}
