import { Secret, TOTP } from 'otpauth';
import { renderSVG } from 'uqr';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import { consumeFactorCode, findStep, sealOf, wrongCode } from './factor-codes.ts';
import type { CountListener } from './guess-gate.ts';
import { createRecoveryCodes, deleteIdleRecoveryCodes } from './recovery-codes.ts';
import {
  auditFactor,
  endOtherCeremonies,
  findFactors,
  guardCodes,
  mailChange,
  requireMayAddFactor,
} from './second-factors.ts';
import type { Person, SessionPerson } from './second-factors.ts';

/** Codes of an authenticator app (RFC 6238): SHA-1, six digits, 30 s, which is what the apps understand. */

const SECRET_BYTES = 20;
/** How long an app has to give its first code. */
const PENDING_MS = 15 * 60_000;

export interface Enrolment {
  /** Base32. */
  secret: string;
  uri: string;
  qrSvg: string;
}

/** What the person typed, and where from. */
export interface CodeAttempt {
  code: string;
  caller: Caller;
  onCount?: CountListener | undefined;
}

/**
 * Makes a secret, which counts for nothing until a code of it comes back. Throws `already_exists` when codes are on: another app
 * is added by turning them off first, which takes a code.
 */
export async function enrolTotp(core: IdentityCore, person: Person, caller: Caller): Promise<Enrolment> {
  const secret = new Secret({ size: SECRET_BYTES }).base32;
  const username = await core.db.transaction(async ({ sql }) => {
    const made = await sql(
      `INSERT INTO totp_secrets (tenant_id, user_id, secret, created_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (tenant_id, user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
         WHERE totp_secrets.confirmed_at IS NULL RETURNING 1`,
      [person.tenantId, person.userId, core.box.seal(sealOf(person), secret), new Date(core.clock())],
    );
    const code = made.length > 0 ? undefined : 'already_exists';
    await auditFactor(sql, person, { action: 'mfa.totp_enrol', code }, caller);
    const [user] = await sql<{ username: string }>(
      'SELECT username FROM users WHERE tenant_id = $1 AND id = $2',
      [person.tenantId, person.userId],
    );
    return code === undefined ? user?.username : undefined;
  });
  if (username === undefined)
    throw new AppError('already_exists', { message: 'Codes of an app are on already: turn them off first.' });
  const issuer = `Sluice ${new URL(core.issuer()).hostname}`;
  const uri = new TOTP({ issuer, label: username, secret }).toString();
  return { secret, uri, qrSvg: renderSVG(uri, { border: 4 }) };
}

/**
 * The first code turns codes on. Returns recovery codes, to be shown once. Throws `invalid_code`, `rate_limited`, `revoked`,
 * `reauthentication_required`.
 */
export async function confirmTotp(
  core: IdentityCore,
  person: SessionPerson,
  { code, caller, onCount }: CodeAttempt,
): Promise<string[]> {
  const attempt = async (): Promise<string[]> => {
    const codes = await core.db.transaction(async ({ sql }) => {
      const { tenantId, userId } = person;
      await requireMayAddFactor(sql, person);
      const now = core.clock();
      const [pending] = await sql<{ secret: Buffer }>(
        `SELECT secret FROM totp_secrets
         WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NULL AND created_at > $3`,
        [tenantId, userId, new Date(now - PENDING_MS)],
      );
      const step = pending === undefined ? undefined : findStep(core, person, pending.secret, code);
      const confirmed = await sql(
        `UPDATE totp_secrets SET confirmed_at = $3, last_step = $4
         WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NULL AND secret = $5 AND $4::bigint > 0 RETURNING 1`,
        [tenantId, userId, new Date(now), step ?? 0, pending?.secret ?? null],
      );
      const refused = confirmed.length === 0 ? 'invalid_code' : undefined;
      await auditFactor(sql, person, { action: 'mfa.totp_enabled', code: refused }, caller);
      if (refused !== undefined) return undefined;
      await endOtherCeremonies(sql, person);
      await mailChange(core, sql, person, 'a second factor was added: codes of an authenticator app');
      return createRecoveryCodes(core, sql, person);
    });
    if (codes === undefined) throw wrongCode();
    return codes;
  };
  const codes = await guardCodes(core, person, { caller, attempt, onCount });
  core.jobs.wake();
  return codes;
}

/** Turns codes off, for a code of the app or a recovery code. Throws `invalid_code`, `too_many_tries`, `rate_limited`. */
export async function disableTotp(
  core: IdentityCore,
  person: Person,
  { code, caller, onCount }: CodeAttempt,
): Promise<void> {
  const attempt = async (): Promise<void> => {
    const refusal = await core.db.transaction(async ({ sql }) => {
      const refused = await tryDisabling(core, sql, person, { code, caller });
      await auditFactor(sql, person, { action: 'mfa.totp_disabled', code: refused?.code }, caller);
      return refused;
    });
    if (refusal !== undefined) throw refusal;
  };
  await guardCodes(core, person, { caller, attempt, onCount });
  core.jobs.wake();
}

async function tryDisabling(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  attempt: CodeAttempt,
): Promise<AppError | undefined> {
  const { totp } = await findFactors(sql, person);
  // no recovery code is to be spent on nothing
  if (!totp) return new AppError('not_found', { message: 'Codes of an app are not on.' });
  const used = await consumeFactorCode(core, sql, person, attempt);
  if ('refusal' in used) return used.refusal;
  await sql('DELETE FROM totp_secrets WHERE tenant_id = $1 AND user_id = $2', [
    person.tenantId,
    person.userId,
  ]);
  await deleteIdleRecoveryCodes(sql, person);
  await mailChange(core, sql, person, 'a second factor was removed: codes of an authenticator app');
  return undefined;
}
