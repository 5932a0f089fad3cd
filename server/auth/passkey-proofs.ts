import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { generateAuthenticationOptions, verifyAuthenticationResponse } from '@simplewebauthn/server';
import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { ownOrigins } from '../origins.ts';
import type { IdentityCore } from './core.ts';
import type { Person } from './second-factors.ts';

/** Whose passkeys they are, to a browser: a name of ours, and the pages that may use it. From configuration (S32). */
export interface RelyingParty {
  id: string;
  origins: string[];
}

/** What an answer is for, and whose it has to be: a session, an mfa_token's hash, or anybody's (''). */
export interface ChallengeUse {
  tenantId: number;
  purpose: 'register' | 'login' | 'mfa' | 'reauthenticate';
  subject: string;
}

/** An authenticator's signature, base64url throughout. */
export interface Assertion {
  id: string;
  clientDataJSON: string;
  authenticatorData: string;
  signature: string;
  userHandle?: string | undefined;
}

/** Why a passkey was not taken, for the audit log alone. */
export type PasskeyFault = 'challenge' | 'credential' | 'response' | 'counter' | 'user';

const CHALLENGE_MS = 5 * 60_000;
export const PASSKEY_TIMEOUT_MS = CHALLENGE_MS;

/** Throws `passkey_refused` where browsers know no passkeys: on a bare IP address. */
export function requireRelyingParty({ issuer, config }: IdentityCore): RelyingParty {
  const { hostname } = new URL(issuer());
  const own = [...ownOrigins(issuer())];
  // this machine has three names, of which one is a domain
  const id = own.length > 1 ? 'localhost' : hostname;
  if (isIP(id.replace(/[[\]]/g, '')) !== 0) {
    throw new AppError('passkey_refused', {
      message: 'Passkeys need a name instead of an IP address: set PUBLIC_URL.',
    });
  }
  const further = config.CORS_ORIGINS.map((origin) => new URL(origin));
  const ours = further.filter((url) => url.hostname === id || url.hostname.endsWith(`.${id}`));
  return { id, origins: [...own, ...ours.map((url) => url.origin)] };
}

/** Keeps a challenge to be answered once. A new one of the same session or mfa_token takes the place of the last. */
export async function storeChallenge(
  core: IdentityCore,
  sql: Sql,
  { tenantId, purpose, subject }: ChallengeUse,
  challenge: string,
): Promise<string> {
  const id = randomUUID();
  if (subject !== '') {
    await sql('DELETE FROM passkey_challenges WHERE tenant_id = $1 AND purpose = $2 AND subject = $3', [
      tenantId,
      purpose,
      subject,
    ]);
  }
  await sql(
    `INSERT INTO passkey_challenges (tenant_id, id, purpose, subject, challenge, expires_at)
     SELECT id, $2, $3, $4, $5, $6 FROM tenants WHERE id = $1`,
    [tenantId, id, purpose, subject, challenge, new Date(core.clock() + CHALLENGE_MS)],
  );
  return id;
}

/** Takes the challenge an answer is to, in one statement: a second answer finds none. Undefined when there is none. */
export async function takeChallenge(
  core: IdentityCore,
  sql: Sql,
  { tenantId, purpose, subject }: ChallengeUse,
  answer: { clientDataJSON: string; challengeId?: string | undefined },
): Promise<string | undefined> {
  const challenge = findChallenge(answer.clientDataJSON);
  if (challenge === undefined) return undefined;
  const taken = await sql(
    `DELETE FROM passkey_challenges
     WHERE tenant_id = $1 AND purpose = $2 AND subject = $3 AND challenge = $4 AND expires_at > $5
       AND ($6::uuid IS NULL OR id = $6) RETURNING 1`,
    [tenantId, purpose, subject, challenge, new Date(core.clock()), answer.challengeId ?? null],
  );
  return taken.length > 0 ? challenge : undefined;
}

/** Asks for a signature by a passkey: by one of the person's, or by any. */
export async function askForPasskey(
  core: IdentityCore,
  use: ChallengeUse,
  userId?: string,
): Promise<{ challengeId: string; options: PublicKeyCredentialRequestOptionsJSON }> {
  const party = requireRelyingParty(core);
  const { sql } = core.db;
  const known = userId === undefined ? [] : await findCredentials(sql, { tenantId: use.tenantId, userId });
  if (userId !== undefined && known.length === 0) {
    throw new AppError('not_found', { message: 'This account has no passkey.' });
  }
  const options = await generateAuthenticationOptions({
    rpID: party.id,
    userVerification: 'required',
    timeout: PASSKEY_TIMEOUT_MS,
    ...(userId === undefined ? {} : { allowCredentials: known }),
  });
  return { challengeId: await storeChallenge(core, sql, use, options.challenge), options };
}

export async function findCredentials(
  sql: Sql,
  { tenantId, userId }: Person,
): Promise<{ id: string; transports: string[] }[]> {
  return sql(
    'SELECT credential_id AS id, transports FROM passkeys WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at',
    [tenantId, userId],
  );
}

interface CredentialRow {
  id: string;
  user_id: string;
  public_key: Buffer;
  counter: number;
}

/**
 * Checks a signature inside the caller's transaction: challenge, type, origin, name, presence, verification of the user, counter,
 * signature (S41). With `userId` only that person's passkeys count. Returns whose it was, or what was wrong.
 */
export async function consumeAssertion(
  core: IdentityCore,
  sql: Sql,
  use: ChallengeUse & { challengeId?: string | undefined; userId?: string | undefined },
  assertion: Assertion,
): Promise<{ userId: string; passkeyId: string } | { fault: PasskeyFault; userId?: string }> {
  const { tenantId } = use;
  const challenge = await takeChallenge(core, sql, use, { ...assertion, challengeId: use.challengeId });
  if (challenge === undefined) return { fault: 'challenge' };
  const [row] = await sql<CredentialRow>(
    `SELECT id, user_id, public_key, counter FROM passkeys
     WHERE tenant_id = $1 AND credential_id = $2 AND ($3::uuid IS NULL OR user_id = $3)`,
    [tenantId, assertion.id, use.userId ?? null],
  );
  if (row === undefined) return { fault: 'credential' };
  const { user_id: userId, id: passkeyId } = row;
  if (assertion.userHandle !== undefined && assertion.userHandle !== userHandleOf(userId)) {
    return { fault: 'user', userId };
  }
  const verified = await verify(requireRelyingParty(core), row, { assertion, challenge });
  if ('fault' in verified) return { ...verified, userId };
  // of two copies that were used at the same time one is behind
  const moved = await sql(
    `UPDATE passkeys SET counter = $3, last_used_at = $4, backed_up = $5
     WHERE tenant_id = $1 AND id = $2 AND (counter < $3 OR (counter = 0 AND $3 = 0)) RETURNING 1`,
    [tenantId, passkeyId, verified.counter, new Date(core.clock()), verified.backedUp],
  );
  return moved.length === 0 ? { fault: 'counter', userId } : { userId, passkeyId };
}

/** What an authenticator keeps of the account: its id, and nothing of the person. */
export function userHandleOf(userId: string): string {
  return Buffer.from(userId.replaceAll('-', ''), 'hex').toString('base64url');
}

async function verify(
  party: RelyingParty,
  row: CredentialRow,
  { assertion, challenge }: { assertion: Assertion; challenge: string },
): Promise<{ counter: number; backedUp: boolean } | { fault: PasskeyFault }> {
  const { id, clientDataJSON, authenticatorData, signature } = assertion;
  try {
    const { verified, authenticationInfo: info } = await verifyAuthenticationResponse({
      response: {
        id,
        rawId: id,
        type: 'public-key',
        response: { clientDataJSON, authenticatorData, signature },
        clientExtensionResults: {},
      },
      expectedChallenge: challenge,
      expectedOrigin: party.origins,
      expectedRPID: party.id,
      credential: { id, publicKey: new Uint8Array(row.public_key), counter: row.counter },
      requireUserVerification: true,
    });
    return verified ? { counter: info.newCounter, backedUp: info.credentialBackedUp } : { fault: 'response' };
  } catch (error) {
    const copied = error instanceof Error && error.message.startsWith('Response counter value');
    return { fault: copied ? 'counter' : 'response' };
  }
}

const clientData = z.object({ challenge: z.string(), crossOrigin: z.literal(false).optional() });

/** What the browser says was signed. A page framed by a stranger's is none of ours. */
function findChallenge(clientDataJSON: string): string | undefined {
  try {
    const parsed = clientData.safeParse(
      JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString('utf8')),
    );
    return parsed.success ? parsed.data.challenge : undefined;
  } catch {
    return undefined;
  }
}
