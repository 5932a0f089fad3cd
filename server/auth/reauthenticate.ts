import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { isKnownNetwork } from './known-networks.ts';
import { consumeProof } from './mfa.ts';
import type { FactorProof } from './mfa.ts';
import { loginBy } from './names.ts';
import { askForPasskey } from './passkey-proofs.ts';
import type { ChallengeUse } from './passkey-proofs.ts';
import { principalKey } from './principal.ts';
import { auditFactor, guardCodes } from './second-factors.ts';
import type { ProofMethod, SessionPerson } from './second-factors.ts';

/** The password again, or a second factor. */
export type Proof = FactorProof | { password: string };

type Judged = { method: ProofMethod } | { refusal: AppError };

/**
 * Proves once more who sits at a session, which makes it fresh for dangerous acts (S38). Returns the time of it. Throws
 * `invalid_credentials`, `invalid_code`, `too_many_tries`, `rate_limited`, `revoked`.
 */
export async function reauthenticate(
  core: IdentityCore,
  person: SessionPerson,
  proof: Proof,
  from: { caller: Caller; onCount?: CountListener | undefined },
): Promise<number> {
  const { tenantId, userId } = person;
  const { caller, onCount } = from;
  const now = await ('password' in proof
    ? core.guesses.guard({
        // the same counts as at the login by username: it is the same password
        account: `login ${userId}`,
        typed: loginBy(tenantId, await findUsername(core, person)),
        ip: caller.ip,
        attempt: () => byPassword(core, person, proof.password, caller),
        isKnownNetwork: (network) => isKnownNetwork(core.db.sql, person, network),
        onCount,
      })
    : guardCodes(core, person, { caller, onCount, attempt: () => byFactor(core, person, proof, caller) }));
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'user', id: userId }));
  core.jobs.wake();
  return now;
}

async function findUsername(core: IdentityCore, { tenantId, userId }: SessionPerson): Promise<string> {
  const [user] = await core.db.sql<{ username: string }>(
    'SELECT username FROM users WHERE tenant_id = $1 AND id = $2',
    [tenantId, userId],
  );
  return user?.username ?? '';
}

/** What a passkey has to sign. Throws `not_found` when the account has none. */
export function askToReauthenticate(
  core: IdentityCore,
  person: SessionPerson,
): ReturnType<typeof askForPasskey> {
  return askForPasskey(core, challengeOf(person), person.userId);
}

async function byPassword(
  core: IdentityCore,
  person: SessionPerson,
  password: string,
  caller: Caller,
): Promise<number> {
  const { tenantId, userId } = person;
  const [user] = await core.db.sql<{ password_hash: string }>(
    'SELECT password_hash FROM users WHERE tenant_id = $1 AND id = $2',
    [tenantId, userId],
  );
  const right = await core.passwords.verify(user?.password_hash, password);
  return renew(core, person, caller, async (sql) => {
    // a password that was changed meanwhile proves nothing any more
    const same = await sql(
      'SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2 AND password_hash = $3 FOR SHARE',
      [tenantId, userId, user?.password_hash ?? ''],
    );
    if (right && same.length > 0) return { method: 'pwd' };
    return { refusal: new AppError('invalid_credentials', { message: 'The password is wrong.' }) };
  });
}

function byFactor(
  core: IdentityCore,
  person: SessionPerson,
  proof: FactorProof,
  caller: Caller,
): Promise<number> {
  const attempt = { proof, use: challengeOf(person), caller };
  return renew(core, person, caller, (sql) => consumeProof(core, sql, person, attempt));
}

/** The proof, what it makes of the session, and its audit row: one transaction. */
async function renew(
  core: IdentityCore,
  person: SessionPerson,
  caller: Caller,
  judge: (sql: Sql) => Promise<Judged>,
): Promise<number> {
  const now = core.clock();
  const refusal = await core.db.transaction(async ({ sql }) => {
    const judged = await judge(sql);
    const refused = 'refusal' in judged ? judged.refusal : await touch(sql, person, judged.method, now);
    const details = 'method' in judged ? { method: judged.method } : {};
    const event = { action: 'auth.reauthenticate', code: refused?.code, details };
    await auditFactor(sql, person, event, caller);
    return refused;
  });
  if (refusal !== undefined) throw refusal;
  return now;
}

async function touch(
  sql: Sql,
  { tenantId, sessionId }: SessionPerson,
  method: ProofMethod,
  now: number,
): Promise<AppError | undefined> {
  const rows = await sql(
    `UPDATE sessions SET authenticated_at = $3, amr = $4
     WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING 1`,
    [tenantId, sessionId, new Date(now), [method]],
  );
  return rows.length > 0 ? undefined : new AppError('revoked');
}

function challengeOf({ tenantId, sessionId }: SessionPerson): ChallengeUse {
  return { tenantId, purpose: 'reauthenticate', subject: sessionId };
}
