import { randomUUID } from 'node:crypto';
import { generateRegistrationOptions, verifyRegistrationResponse } from '@simplewebauthn/server';
import type { PublicKeyCredentialCreationOptionsJSON } from '@simplewebauthn/server';
import { decodeAttestationObject, isoCBOR } from '@simplewebauthn/server/helpers';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import {
  PASSKEY_TIMEOUT_MS,
  findCredentials,
  requireRelyingParty,
  storeChallenge,
  takeChallenge,
  userHandleOf,
} from './passkey-proofs.ts';
import { createRecoveryCodes, deleteIdleRecoveryCodes } from './recovery-codes.ts';
import {
  auditFactor,
  endOtherCeremonies,
  findFactors,
  mailChange,
  requireMayAddFactor,
} from './second-factors.ts';
import type { Person, SessionPerson } from './second-factors.ts';

const MOST_PASSKEYS = 20;
/** EdDSA, ES256, RS256: what authenticators sign with. */
const ALGORITHMS = [-8, -7, -257];

export interface PasskeyView {
  id: string;
  name: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  backedUp: boolean;
}

/** What an authenticator made, base64url throughout. */
export interface Registration {
  id: string;
  clientDataJSON: string;
  attestationObject: string;
  transports: string[];
}

/** Asks the browser for a new passkey, one that finds its account by itself and checks who holds it. */
export async function startRegistration(
  core: IdentityCore,
  person: SessionPerson,
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const party = requireRelyingParty(core);
  const { sql } = core.db;
  const [user] = await sql<{ username: string }>(
    'SELECT username FROM users WHERE tenant_id = $1 AND id = $2',
    [person.tenantId, person.userId],
  );
  const options = await generateRegistrationOptions({
    rpName: 'Sluice',
    rpID: party.id,
    userName: user?.username ?? '',
    userID: new Uint8Array(Buffer.from(userHandleOf(person.userId), 'base64url')),
    attestationType: 'none',
    timeout: PASSKEY_TIMEOUT_MS,
    excludeCredentials: await findCredentials(sql, person),
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    supportedAlgorithmIDs: ALGORITHMS,
  });
  await storeChallenge(core, sql, { ...person, ...REGISTER, subject: person.sessionId }, options.challenge);
  return options;
}

/**
 * Takes the passkey that was made for this session's challenge. The first second factor comes with recovery codes, to be shown
 * once. Throws `passkey_refused`, `revoked`, `reauthentication_required`.
 */
export async function finishRegistration(
  core: IdentityCore,
  person: SessionPerson,
  input: { registration: Registration; name: string },
  caller: Caller,
): Promise<{ passkey: PasskeyView; recoveryCodes: string[] | undefined }> {
  const use = { ...person, ...REGISTER, subject: person.sessionId };
  const challenge = await takeChallenge(core, core.db.sql, use, input.registration);
  const credential = challenge === undefined ? undefined : await verify(core, input.registration, challenge);
  const added = await core.db.transaction(async ({ sql }) => {
    await requireMayAddFactor(sql, person);
    const id =
      credential === undefined
        ? undefined
        : await insert(core, sql, person, { ...credential, name: input.name });
    const code = id === undefined ? 'passkey_refused' : undefined;
    await auditFactor(sql, person, { action: 'passkey.added', code, details: { passkey: id } }, caller);
    if (id === undefined) return undefined;
    await endOtherCeremonies(sql, person);
    await mailChange(core, sql, person, 'a second factor was added: a passkey');
    const { recoveryCodesLeft } = await findFactors(sql, person);
    return {
      id,
      recoveryCodes: recoveryCodesLeft > 0 ? undefined : await createRecoveryCodes(core, sql, person),
    };
  });
  if (added === undefined) throw new AppError('passkey_refused');
  core.jobs.wake();
  const passkey = (await listPasskeys(core, person)).find(({ id }) => id === added.id);
  if (passkey === undefined) throw new AppError('passkey_refused');
  return { passkey, recoveryCodes: added.recoveryCodes };
}

const REGISTER = { purpose: 'register' } as const;

export async function listPasskeys(core: IdentityCore, { tenantId, userId }: Person): Promise<PasskeyView[]> {
  return core.db.sql<PasskeyView>(
    `SELECT id, name, created_at AS "createdAt", last_used_at AS "lastUsedAt", backed_up AS "backedUp"
     FROM passkeys WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id`,
    [tenantId, userId],
  );
}

/** Throws `not_found` when it is none of the person's. */
export async function renamePasskey(
  core: IdentityCore,
  person: Person,
  change: { id: string; name: string },
  caller: Caller,
): Promise<void> {
  const found = await core.db.transaction(async ({ sql }) => {
    const rows = await sql(
      'UPDATE passkeys SET name = $4 WHERE tenant_id = $1 AND user_id = $2 AND id = $3 RETURNING 1',
      [person.tenantId, person.userId, change.id, change.name],
    );
    await auditFactor(sql, person, eventOf('passkey.renamed', change.id, rows), caller);
    return rows.length > 0;
  });
  if (!found) throw noSuchPasskey();
}

/** Throws `not_found` when it is none of the person's. */
export async function removePasskey(
  core: IdentityCore,
  person: Person,
  id: string,
  caller: Caller,
): Promise<void> {
  const found = await core.db.transaction(async ({ sql }) => {
    const rows = await sql(
      'DELETE FROM passkeys WHERE tenant_id = $1 AND user_id = $2 AND id = $3 RETURNING 1',
      [person.tenantId, person.userId, id],
    );
    await auditFactor(sql, person, eventOf('passkey.removed', id, rows), caller);
    if (rows.length === 0) return false;
    await deleteIdleRecoveryCodes(sql, person);
    await mailChange(core, sql, person, 'a second factor was removed: a passkey');
    return true;
  });
  if (!found) throw noSuchPasskey();
  core.jobs.wake();
}

function eventOf(
  action: string,
  passkey: string,
  rows: readonly unknown[],
): Parameters<typeof auditFactor>[2] {
  return { action, code: rows.length === 0 ? 'not_found' : undefined, details: { passkey } };
}

function noSuchPasskey(): AppError {
  return new AppError('not_found', { message: 'There is no such passkey.' });
}

interface NewCredential {
  credentialId: string;
  publicKey: Buffer;
  counter: number;
  backedUp: boolean;
  transports: string[];
}

async function verify(
  core: IdentityCore,
  registration: Registration,
  challenge: string,
): Promise<NewCredential | undefined> {
  const party = requireRelyingParty(core);
  const { id, clientDataJSON, transports } = registration;
  try {
    const { registrationInfo: made } = await verifyRegistrationResponse({
      response: {
        id,
        rawId: id,
        type: 'public-key',
        response: { clientDataJSON, attestationObject: withoutAttestation(registration.attestationObject) },
        clientExtensionResults: {},
      },
      expectedChallenge: challenge,
      expectedOrigin: party.origins,
      expectedRPID: party.id,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    });
    if (made?.credential.id !== id) return undefined;
    const { publicKey, counter } = made.credential;
    return {
      credentialId: id,
      publicKey: Buffer.from(publicKey),
      counter,
      backedUp: made.credentialBackedUp,
      transports,
    };
  } catch {
    // whatever does not parse or does not fit
    return undefined;
  }
}

/**
 * We do not ask who built an authenticator, so what is said of it is not looked at: certificates that a stranger sends are code
 * to attack, and name addresses to fetch from (S68).
 */
function withoutAttestation(attestationObject: string): string {
  const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url')));
  const bare: Parameters<typeof isoCBOR.encode>[0] = new Map<
    string,
    string | Uint8Array | Map<string, string>
  >([
    ['fmt', 'none'],
    ['attStmt', new Map()],
    ['authData', decoded.get('authData')],
  ]);
  return Buffer.from(isoCBOR.encode(bare)).toString('base64url');
}

/** Undefined when the credential is known already, whoever has it, or the person has too many. */
async function insert(
  core: IdentityCore,
  sql: Sql,
  { tenantId, userId }: Person,
  passkey: NewCredential & { name: string },
): Promise<string | undefined> {
  const id = randomUUID();
  const rows = await sql(
    `INSERT INTO passkeys (tenant_id, id, user_id, credential_id, public_key, counter, transports, backed_up, name, created_at)
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
     WHERE (SELECT count(*) FROM passkeys WHERE tenant_id = $1 AND user_id = $3) < $11
     ON CONFLICT (tenant_id, credential_id) DO NOTHING RETURNING 1`,
    [
      tenantId,
      id,
      userId,
      passkey.credentialId,
      passkey.publicKey,
      passkey.counter,
      passkey.transports,
      passkey.backedUp,
      passkey.name,
      new Date(core.clock()),
      MOST_PASSKEYS,
    ],
  );
  return rows.length > 0 ? id : undefined;
}
