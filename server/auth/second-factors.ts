import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { secondFactorMail } from '../mail-texts.ts';
import { auditAct } from './audit-act.ts';
import type { Act } from './audit-act.ts';
import { MAIL_JOB } from './accounts.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { isKnownNetwork } from './known-networks.ts';
import { holdSession } from './sessions.ts';

/** Whose second factor it is. */
export interface Person {
  tenantId: number;
  userId: string;
}

/** A person at one of their sessions. */
export interface SessionPerson extends Person {
  sessionId: string;
}

export interface Factors {
  totp: boolean;
  passkeys: number;
  recoveryCodesLeft: number;
}

export type FactorMethod = 'totp' | 'recovery' | 'passkey';

/** How somebody proved who they are, in the words of RFC 8176; `rcv` is a recovery code, which it has no word for. */
export type ProofMethod = 'pwd' | 'otp' | 'rcv' | 'hwk';

export async function findFactors(sql: Sql, { tenantId, userId }: Person): Promise<Factors> {
  const [row] = await sql<Factors>(
    `SELECT EXISTS (SELECT 1 FROM totp_secrets
                    WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NOT NULL) AS totp,
            (SELECT count(*)::integer FROM passkeys WHERE tenant_id = $1 AND user_id = $2) AS passkeys,
            (SELECT count(*)::integer FROM recovery_codes
             WHERE tenant_id = $1 AND user_id = $2 AND used_at IS NULL) AS "recoveryCodesLeft"`,
    [tenantId, userId],
  );
  return row ?? { totp: false, passkeys: 0, recoveryCodesLeft: 0 };
}

/** What a password login has to be followed by, one of them; empty: nothing. */
export function methodsOf(factors: Factors): FactorMethod[] {
  const methods: FactorMethod[] = [];
  if (factors.totp) methods.push('totp');
  if (factors.passkeys > 0) methods.push('passkey');
  if (methods.length > 0 && factors.recoveryCodesLeft > 0) methods.push('recovery');
  return methods;
}

/** Whether one of these proofs is a second factor. */
export function provesSecondFactor(amr: readonly string[]): boolean {
  return amr.some((method) => method === 'otp' || method === 'rcv' || method === 'hwk');
}

/**
 * Before a factor is added: its session is held, and has proved a factor the person has, also one that came meanwhile (S38). Throws
 * `revoked`, `reauthentication_required`.
 */
export async function requireMayAddFactor(sql: Sql, person: SessionPerson): Promise<void> {
  const { amr } = await holdSession(sql, person);
  const methods = methodsOf(await findFactors(sql, person));
  if (methods.length > 0 && !provesSecondFactor(amr))
    throw new AppError('reauthentication_required', { members: { methods } });
}

/** After a factor was added: what else was begun, from whichever session, was begun without a proof of it (S38). */
export async function endOtherCeremonies(sql: Sql, { tenantId, userId }: Person): Promise<void> {
  await sql('DELETE FROM totp_secrets WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NULL', [
    tenantId,
    userId,
  ]);
  await sql(
    `DELETE FROM passkey_challenges c USING sessions s
     WHERE c.tenant_id = $1 AND c.purpose = 'register' AND s.tenant_id = $1 AND s.principal_kind = 'user'
       AND s.principal_id = $2 AND c.subject = s.id::text`,
    [tenantId, userId],
  );
}

/** Wrong codes count apart from wrong passwords, whichever way they come in (S36). */
export function guardCodes<T>(
  core: IdentityCore,
  person: Person,
  guess: { caller: Caller; attempt: () => Promise<T>; onCount?: CountListener | undefined },
): Promise<T> {
  return core.guesses.guard({
    account: `second factor ${person.tenantId} ${person.userId}`,
    ip: guess.caller.ip,
    attempt: guess.attempt,
    isKnownNetwork: (network) => isKnownNetwork(core.db.sql, person, network),
    onCount: guess.onCount,
  });
}

export async function auditFactor(sql: Sql, person: Person, event: Act, caller: Caller): Promise<void> {
  await auditAct(sql, { tenantId: person.tenantId, kind: 'user', id: person.userId }, caller, event);
}

/** Leaves a mail about a change in the caller's transaction; wake the jobs after the commit. */
export async function mailChange(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  change: string,
): Promise<void> {
  const [to] = await sql<{ email: string; username: string; display_name: string | null }>(
    'SELECT email, username, display_name FROM users WHERE tenant_id = $1 AND id = $2',
    [person.tenantId, person.userId],
  );
  if (to === undefined) return;
  const payload = secondFactorMail(to, change, core.issuer());
  await core.jobs.enqueue(sql, { tenantId: person.tenantId, kind: MAIL_JOB, payload });
}
