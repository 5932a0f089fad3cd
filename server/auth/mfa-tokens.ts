import type { Sql } from '../db.ts';
import { networkOf } from './addresses.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createMfaToken, findTenantOf, sha256 } from './opaque.ts';

/**
 * A login between password and second factor. It is no session: nothing but the second step takes its token, once, for five
 * minutes, from the address that the password came from, while the password stays what it was (S37, S39).
 */

const LIFE_MS = 5 * 60_000;
/** Answers to one token; the limits on guessing count over all of them. */
const MAX_TRIES = 5;

/** Whose password was right. */
export interface PasswordProof {
  tenantId: number;
  userId: string;
  passwordHash: string;
  app: string | undefined;
}

export interface MfaLogin {
  tenantId: number;
  hash: Buffer;
  userId: string;
  app: string | null;
}

/** Returns the token, which is kept as a hash only. */
export async function openMfaToken(
  core: IdentityCore,
  sql: Sql,
  proof: PasswordProof,
  caller: Caller,
): Promise<string> {
  const token = createMfaToken(proof.tenantId);
  const now = core.clock();
  await sql(
    `INSERT INTO mfa_tokens (tenant_id, hash, user_id, password_digest, network, app, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      proof.tenantId,
      sha256(token),
      proof.userId,
      sha256(proof.passwordHash),
      networkOf(caller.ip ?? ''),
      proof.app ?? null,
      new Date(now),
      new Date(now + LIFE_MS),
    ],
  );
  return token;
}

const ALIVE = `t.tenant_id = $1 AND t.hash = $2 AND t.network = $3 AND t.expires_at > $4 AND t.tries < $5
  AND t.consumed_at IS NULL`;
const FIELDS = 't.tenant_id AS "tenantId", t.hash, t.user_id AS "userId", t.app';

/** The login that a token stands for, without counting a try. */
export async function findMfaLogin(
  core: IdentityCore,
  token: string,
  caller: Caller,
): Promise<MfaLogin | undefined> {
  const tenantId = findTenantOf('smt', token);
  if (tenantId === undefined) return undefined;
  const key = keyOf(core, { tenantId, hash: sha256(token) }, caller);
  const [row] = await core.db.sql<MfaLogin>(`SELECT ${FIELDS} FROM mfa_tokens t WHERE ${ALIVE}`, key);
  return row;
}

/** Counts a try, in one statement that holds the row: answers to one token are judged one after the other (S27). */
export async function claimTry(
  core: IdentityCore,
  sql: Sql,
  login: MfaLogin,
  caller: Caller,
): Promise<boolean> {
  const claimed = await sql(
    `UPDATE mfa_tokens t SET tries = tries + 1 WHERE ${ALIVE} RETURNING 1`,
    keyOf(core, login, caller),
  );
  return claimed.length > 0;
}

/** The login is done: no other answer counts. */
export async function closeMfaToken(
  core: IdentityCore,
  sql: Sql,
  { tenantId, hash }: MfaLogin,
): Promise<void> {
  await sql('UPDATE mfa_tokens SET consumed_at = $3 WHERE tenant_id = $1 AND hash = $2', [
    tenantId,
    hash,
    new Date(core.clock()),
  ]);
}

/** The person, locked against being disabled and against another password meanwhile; undefined when either has happened. */
export async function lockMfaUser<User>(sql: Sql, login: MfaLogin): Promise<User | undefined> {
  const [user] = await sql<User>(
    `SELECT u.id, u.username, u.email, u.role FROM users u
     JOIN mfa_tokens t ON t.tenant_id = u.tenant_id AND t.user_id = u.id AND t.hash = $2
     WHERE u.tenant_id = $1 AND u.disabled_at IS NULL AND u.verified_at IS NOT NULL
       AND sha256(convert_to(u.password_hash, 'UTF8')) = t.password_digest
     FOR SHARE OF u`,
    [login.tenantId, login.hash],
  );
  return user;
}

function keyOf(
  core: IdentityCore,
  { tenantId, hash }: Pick<MfaLogin, 'tenantId' | 'hash'>,
  caller: Caller,
): unknown[] {
  return [tenantId, hash, networkOf(caller.ip ?? ''), new Date(core.clock()), MAX_TRIES];
}
