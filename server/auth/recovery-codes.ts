import { randomInt } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import { auditFactor, findFactors, mailChange, methodsOf } from './second-factors.ts';
import type { Person } from './second-factors.ts';
import { holdSession } from './sessions.ts';

const COUNT = 10;
const LENGTH = 10;
/** Crockford's: no letter that is taken for a digit. Ten of them hold 50 random bits. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Makes a new set inside the caller's transaction; the old one is worth nothing from now on. Returns them to be shown once. */
export async function createRecoveryCodes(core: IdentityCore, sql: Sql, person: Person): Promise<string[]> {
  const codes = Array.from({ length: COUNT }, () =>
    Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join(''),
  );
  await deleteRecoveryCodes(sql, person);
  await sql(
    `INSERT INTO recovery_codes (tenant_id, user_id, hash, created_at)
     SELECT $1, $2, unnest($3::bytea[]), $4`,
    [
      person.tenantId,
      person.userId,
      codes.map((code) => digestOf(core, person, code)),
      new Date(core.clock()),
    ],
  );
  return codes.map((code) => `${code.slice(0, 5)}-${code.slice(5)}`);
}

/** Uses a code up, in one statement: of parallel submissions one wins (S40). Says whether it was one. */
export async function consumeRecoveryCode(
  core: IdentityCore,
  sql: Sql,
  person: Person,
  code: string,
): Promise<boolean> {
  const used = await sql(
    `UPDATE recovery_codes SET used_at = $4
     WHERE tenant_id = $1 AND user_id = $2 AND hash = $3 AND used_at IS NULL RETURNING 1`,
    [person.tenantId, person.userId, digestOf(core, person, readable(code)), new Date(core.clock())],
  );
  return used.length > 0;
}

/** A new set in place of the old. Throws `not_found` when there is no second factor they could stand in for, `revoked`. */
export async function renewRecoveryCodes(
  core: IdentityCore,
  person: Person & { sessionId: string },
  caller: Caller,
): Promise<string[]> {
  const codes = await core.db.transaction(async ({ sql }) => {
    await holdSession(sql, person);
    if (methodsOf(await findFactors(sql, person)).length === 0) return undefined;
    const made = await createRecoveryCodes(core, sql, person);
    await auditFactor(sql, person, { action: 'mfa.recovery_codes_renewed' }, caller);
    await mailChange(core, sql, person, 'new recovery codes were made');
    return made;
  });
  if (codes === undefined)
    throw new AppError('not_found', { message: 'There is no second factor: add one first.' });
  core.jobs.wake();
  return codes;
}

/** Codes that stand in for nothing must not be left lying about. */
export async function deleteIdleRecoveryCodes(sql: Sql, person: Person): Promise<void> {
  if (methodsOf(await findFactors(sql, person)).length === 0) await deleteRecoveryCodes(sql, person);
}

async function deleteRecoveryCodes(sql: Sql, { tenantId, userId }: Person): Promise<void> {
  await sql('DELETE FROM recovery_codes WHERE tenant_id = $1 AND user_id = $2', [tenantId, userId]);
}

/** As it was written down, not as it was typed. */
function readable(code: string): string {
  return code.toLowerCase().replace(/[\s-]/g, '').replaceAll('o', '0').replace(/[il]/g, '1');
}

function digestOf(core: IdentityCore, { tenantId, userId }: Person, code: string): Buffer {
  return core.box.digest(`recovery ${tenantId} ${userId}`, code);
}
