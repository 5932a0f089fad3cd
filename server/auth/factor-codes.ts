import { Secret, TOTP } from 'otpauth';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { networkOf } from './addresses.ts';
import type { Caller, IdentityCore } from './core.ts';
import { consumeRecoveryCode } from './recovery-codes.ts';
import { isKnownNetwork } from './known-networks.ts';
import type { Person } from './second-factors.ts';

const PERIOD_S = 30;
/** Clocks may be a step off, before or behind (S35). */
const DRIFT_STEPS = 1;
const DAY_MS = 24 * 3_600_000;
/** Wrong codes in 24 h from where the person has never been: fresh mfa_tokens and other nodes do not reset them. */
const FAILURES_PER_DAY = 30;

/** What a code was: of the app, or a recovery code. Else why it is refused. */
export type CodeOutcome = { method: 'otp' | 'rcv' } | { refusal: AppError };

/** Uses up what was typed: six digits are the app's code, all else is a recovery code. Inside the caller's transaction. */
export async function consumeFactorCode(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  attempt: { code: string; caller: Caller },
): Promise<CodeOutcome> {
  const digits = attempt.code.replace(/\s/g, '');
  if (/^\d{6}$/.test(digits)) return consumeTotp(core, sql, person, { ...attempt, code: digits });
  const used = await consumeRecoveryCode(core, sql, person, attempt.code);
  return used ? { method: 'rcv' } : { refusal: wrongCode() };
}

export function wrongCode(): AppError {
  return new AppError('invalid_code', { message: 'The code is wrong, used or too old.' });
}

/** The step that a code belongs to, at most one away from now; undefined when it is of none. */
export function findStep(
  core: IdentityCore,
  person: Person,
  sealed: Buffer,
  code: string,
): number | undefined {
  const secret = Secret.fromBase32(core.box.open(sealOf(person), sealed).toString('utf8'));
  const timestamp = core.clock();
  const delta = TOTP.validate({ token: code, secret, timestamp, period: PERIOD_S, window: DRIFT_STEPS });
  return delta === null ? undefined : TOTP.counter({ timestamp, period: PERIOD_S }) + delta;
}

/** What the secret is sealed for: one that is moved to another account does not open. */
export function sealOf({ tenantId, userId }: Person): string {
  return `totp ${tenantId} ${userId}`;
}

async function consumeTotp(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  { code, caller }: { code: string; caller: Caller },
): Promise<CodeOutcome> {
  const { tenantId, userId } = person;
  const dayAgo = new Date(core.clock() - DAY_MS);
  const [row] = await sql<{ secret: Buffer; failures: number }>(
    `SELECT secret, CASE WHEN failures_since > $3 THEN failures ELSE 0 END AS failures
     FROM totp_secrets WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NOT NULL`,
    [tenantId, userId, dayAgo],
  );
  if (row === undefined) return { refusal: wrongCode() };
  if (row.failures >= FAILURES_PER_DAY && !(await isKnownNetwork(sql, person, networkOf(caller.ip ?? ''))))
    return { refusal: tooManyCodes() };
  const step = findStep(core, person, row.secret, code);
  // one statement takes the step: the same code, at the same time or after, finds it taken (S35)
  const taken = await sql(
    `UPDATE totp_secrets SET last_step = $3
     WHERE tenant_id = $1 AND user_id = $2 AND confirmed_at IS NOT NULL AND secret = $4 AND last_step < $3 RETURNING 1`,
    [tenantId, userId, step ?? 0, row.secret],
  );
  if (taken.length > 0) return { method: 'otp' };
  await sql(
    `UPDATE totp_secrets SET failures = CASE WHEN failures_since > $3 THEN failures + 1 ELSE 1 END,
                             failures_since = CASE WHEN failures_since > $3 THEN failures_since ELSE $4 END
     WHERE tenant_id = $1 AND user_id = $2`,
    [tenantId, userId, dayAgo, new Date(core.clock())],
  );
  return { refusal: wrongCode() };
}

function tooManyCodes(): AppError {
  return new AppError('too_many_tries', {
    message:
      'Too many wrong codes today: use a passkey or a recovery code, or come from where you have been before.',
  });
}
