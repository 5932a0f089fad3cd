import { randomInt, randomUUID } from 'node:crypto';
import type { Sql } from '../db.ts';
import type { IdentityCore } from './core.ts';

/** Six digits, mailed. Bound to a purpose, an address and the flow (the account row) they were made for (S26). */

export type CodePurpose = 'verify_email' | 'reset_password' | 'change_email_old' | 'change_email_new';

export const MAX_TRIES = 5;
/** Wrong guesses against one address in 24 h over all of its codes: a resend does not reset them (S24). */
const MAX_TRIES_PER_ADDRESS = 30;
const LIFE_MS: Record<CodePurpose, number> = {
  verify_email: 24 * 3_600_000,
  reset_password: 10 * 60_000,
  change_email_old: 3_600_000,
  change_email_new: 3_600_000,
};
const DAY_MS = 24 * 3_600_000;

interface CodeTarget {
  tenantId: number;
  purpose: CodePurpose;
  userId: string;
  emailKey: string;
}

/** Makes a code inside the caller's transaction; the flow's earlier ones are dead from now on (S25). Returns the digits. */
export async function createCode(core: IdentityCore, sql: Sql, target: CodeTarget): Promise<string> {
  const code = randomInt(0, 1_000_000).toString().padStart(6, '0');
  const now = core.clock();
  await sql(
    `UPDATE one_time_codes SET consumed_at = $4
     WHERE tenant_id = $1 AND user_id = $2 AND purpose = $3 AND consumed_at IS NULL`,
    [target.tenantId, target.userId, target.purpose, new Date(now)],
  );
  await sql(
    `INSERT INTO one_time_codes (tenant_id, id, purpose, user_id, email_key, hash, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      target.tenantId,
      randomUUID(),
      target.purpose,
      target.userId,
      target.emailKey,
      digestOf(core, target, code),
      new Date(now),
      new Date(now + LIFE_MS[target.purpose]),
    ],
  );
  return code;
}

/** A code as it was typed in. */
export interface CodeAttempt {
  tenantId: number;
  purpose: CodePurpose;
  emailKey: string;
  userId: string;
  code: string;
}

/**
 * Tries a code against the live ones of an account at an address. Counting the try and using the code up are one
 * statement: of parallel right ones exactly one wins (S27), and parallel guesses cannot outrun the count (S24).
 * Returns the account it was made for; undefined when it was wrong.
 */
export async function consumeCode(
  core: IdentityCore,
  sql: Sql,
  attempt: CodeAttempt,
): Promise<string | undefined> {
  const now = core.clock();
  const { tenantId, purpose, emailKey } = attempt;
  const rows = await sql<{ user_id: string; consumed: boolean }>(
    `UPDATE one_time_codes SET tries = tries + 1, consumed_at = CASE WHEN hash = $4 THEN $5::timestamptz END
     WHERE tenant_id = $1 AND email_key = $2 AND purpose = $3 AND user_id = $6
       AND consumed_at IS NULL AND tries < $7 AND expires_at > $5
       AND (SELECT coalesce(sum(past.tries), 0) FROM one_time_codes past
            WHERE past.tenant_id = $1 AND past.email_key = $2 AND past.purpose = $3 AND past.created_at > $8) < $9
     RETURNING user_id, consumed_at IS NOT NULL AS consumed`,
    [
      tenantId,
      emailKey,
      purpose,
      digestOf(core, attempt, attempt.code),
      new Date(now),
      attempt.userId,
      MAX_TRIES,
      new Date(now - DAY_MS),
      MAX_TRIES_PER_ADDRESS,
    ],
  );
  return rows.find((row) => row.consumed)?.user_id;
}

/**
 * Two codes that count only together. A right one beside a wrong one is not used up, but both tries are counted, and nothing
 * tells which was wrong.
 */
export async function consumeBothCodes(
  core: IdentityCore,
  sql: Sql,
  attempts: readonly [CodeAttempt, CodeAttempt],
): Promise<boolean> {
  const consumed: CodeAttempt[] = [];
  for (const attempt of attempts)
    if ((await consumeCode(core, sql, attempt)) !== undefined) consumed.push(attempt);
  if (consumed.length === attempts.length) return true;
  for (const { tenantId, purpose, emailKey, userId } of consumed)
    await sql(
      `UPDATE one_time_codes SET consumed_at = NULL
       WHERE tenant_id = $1 AND id = (SELECT id FROM one_time_codes
                                      WHERE tenant_id = $1 AND email_key = $2 AND purpose = $3 AND user_id = $4
                                        AND consumed_at IS NOT NULL
                                      ORDER BY consumed_at DESC, created_at DESC LIMIT 1)`,
      [tenantId, emailKey, purpose, userId],
    );
  return false;
}

/** Ends what is left of a person's codes for a purpose. */
export async function endCodes(
  core: IdentityCore,
  sql: Sql,
  codes: { tenantId: number; userId: string; purposes: readonly CodePurpose[] },
): Promise<void> {
  await sql(
    `UPDATE one_time_codes SET consumed_at = $4
     WHERE tenant_id = $1 AND user_id = $2 AND purpose = ANY($3) AND consumed_at IS NULL`,
    [codes.tenantId, codes.userId, codes.purposes, new Date(core.clock())],
  );
}

/** Ends what is left of an address's codes for a purpose, whoever they were made for: the address has its owner now. */
export async function endCodesOfAddress(
  core: IdentityCore,
  sql: Sql,
  { tenantId, emailKey, purpose }: { tenantId: number; emailKey: string; purpose: CodePurpose },
): Promise<void> {
  await sql(
    `UPDATE one_time_codes SET consumed_at = $4
     WHERE tenant_id = $1 AND email_key = $2 AND purpose = $3 AND consumed_at IS NULL`,
    [tenantId, emailKey, purpose, new Date(core.clock())],
  );
}

/** Codes mailed to an address since `sinceMs`: resends are throttled by it (S25). */
export async function countCodes(
  sql: Sql,
  address: { tenantId: number; emailKey: string; purpose: CodePurpose },
  sinceMs: number,
): Promise<number> {
  const [row] = await sql<{ count: number }>(
    `SELECT count(*)::integer AS count FROM one_time_codes
     WHERE tenant_id = $1 AND email_key = $2 AND purpose = $3 AND created_at > $4`,
    [address.tenantId, address.emailKey, address.purpose, new Date(sinceMs)],
  );
  return row?.count ?? 0;
}

function digestOf(
  core: IdentityCore,
  bound: { tenantId: number; purpose: CodePurpose; emailKey: string },
  code: string,
): Buffer {
  return core.box.digest(`code ${bound.tenantId} ${bound.purpose} ${bound.emailKey}`, code);
}
