import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { appendAudit } from '../audit.ts';
import type { Database, Sql } from '../db.ts';
import type { SigningKeyRow } from '../../entities/signing-key.ts';
import type { SecretBox } from './secret-box.ts';

/** How long others may cache the JWKS: a key is published this long before it signs. */
export const JWKS_MAX_AGE_SECONDS = 300;
const RELOAD_EVERY_MS = 1_000;
const PRIVATE = 'signing key';
const KEY_LOCK = 5_142_009_004;

export interface KeyRing {
  /** The key that signs now. */
  signer(): { kid: string; key: CryptoKey };
  /** Public key of an active or retiring key; a kid that is neither costs at most one reload a second (S5). */
  find(kid: string): Promise<CryptoKey | undefined>;
  /** Whether tokens of this key are still accepted. */
  accepts(kid: string): boolean;
  jwks(): { keys: JWK[] };
  reload(): Promise<void>;
  /**
   * Publishes a new key, which signs once every cache of the JWKS has it; `immediately` skips that wait. While one waits already, it
   * is that one, and none is made.
   */
  rotate(options?: Rotation): Promise<NextKey>;
  /** Takes each key whose time has come one state further. Safe on every node at once. */
  advance(): Promise<void>;
}

export interface Rotation {
  immediately?: boolean;
  /** Done in the same transaction. */
  inside?: (sql: Sql, key: NextKey) => Promise<void>;
}

/** The key that signs next, or from now on. */
export interface NextKey {
  kid: string;
  state: 'pending' | 'active';
  createdAt: Date;
  /** A pending one may take a minute more. */
  signsFrom: Date;
  /** False: it was there already. */
  made: boolean;
}

interface LoadedKey {
  row: SigningKeyRow;
  publicKey: CryptoKey;
  privateKey: CryptoKey | undefined;
}

/** Loads the signing keys, making the first one when there is none. Throws when they cannot be unsealed. */
export async function openKeyRing(options: {
  db: Database;
  box: SecretBox;
  clock: () => number;
  /** Longest life of an access token, in seconds: a retiring key is accepted that long. */
  tokenLife: number;
  /** Only checks: makes no key, and opens the private half of none. */
  checksOnly?: boolean;
}): Promise<KeyRing> {
  const { db, clock } = options;
  const box = options.checksOnly === true ? undefined : options.box;
  let keys = new Map<string, LoadedKey>();
  let loadedAt = -Infinity;
  let loading: Promise<void> | undefined;

  // one load after the other: whoever asks after a commit must not get a look from before it
  const reload = (): Promise<void> => {
    loadedAt = clock();
    const load = async (): Promise<void> => void (keys = await loadKeys(db.sql, box));
    const mine = (loading ?? Promise.resolve()).then(load, load).finally(() => {
      if (loading === mine) loading = undefined;
    });
    loading = mine;
    return mine;
  };
  const locked: Locked = async (work) => {
    const result = await db.transaction(async ({ sql }) => {
      await sql('SELECT pg_advisory_xact_lock($1)', [KEY_LOCK]);
      return work(sql);
    });
    await reload();
    return result;
  };
  if (box === undefined) await reload();
  else await makeFirst(locked, box, clock);

  return {
    ...createLookups(() => keys),
    async find(kid) {
      // one that is known as a key to come may sign elsewhere by now
      const isKnown = findAccepted(keys, kid) !== undefined;
      if (!isKnown && clock() - loadedAt >= RELOAD_EVERY_MS) await reload();
      else if (!isKnown) await loading;
      return findAccepted(keys, kid)?.publicKey;
    },
    reload,
    rotate: (rotation = {}) => locked((sql) => rotate(sql, options.box, new Date(clock()), rotation)),
    advance: () =>
      locked(async (sql) => {
        await promote(sql, new Date(clock()), JWKS_MAX_AGE_SECONDS);
        await retire(sql, new Date(clock()), options.tokenLife + 120);
      }),
  };
}

type Locked = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>;

function makeFirst(locked: Locked, box: SecretBox, clock: () => number): Promise<void> {
  return locked(async (sql) => {
    const [active] = await sql(`SELECT 1 FROM signing_keys WHERE state = 'active'`);
    if (active === undefined) await insertKey(sql, box, { state: 'active', now: new Date(clock()) });
  });
}

type Keys = ReadonlyMap<string, LoadedKey>;

function createLookups(keys: () => Keys): Pick<KeyRing, 'signer' | 'accepts' | 'jwks'> {
  return {
    signer() {
      const active = [...keys().values()].find((key) => key.row.state === 'active');
      if (active?.privateKey === undefined) throw new Error('there is no active signing key');
      return { kid: active.row.kid, key: active.privateKey };
    },
    accepts: (kid) => findAccepted(keys(), kid) !== undefined,
    jwks: () => ({
      keys: [...keys().values()].map(({ row }) => ({
        ...row.public_jwk,
        kid: row.kid,
        alg: row.alg,
        use: 'sig',
      })),
    }),
  };
}

/** A pending key is published, but signs nothing yet; a retired one is not even loaded. */
function findAccepted(keys: Keys, kid: string): LoadedKey | undefined {
  const key = keys.get(kid);
  return key?.row.state === 'active' || key?.row.state === 'retiring' ? key : undefined;
}

async function loadKeys(sql: Sql, box: SecretBox | undefined): Promise<Map<string, LoadedKey>> {
  const rows = await sql<SigningKeyRow>(
    `SELECT * FROM signing_keys WHERE state <> 'retired' ORDER BY created_at`,
  );
  const keys = await Promise.all(rows.map((row) => loadKey(row, box)));
  return new Map(keys.map((key) => [key.row.kid, key]));
}

async function loadKey(row: SigningKeyRow, box: SecretBox | undefined): Promise<LoadedKey> {
  const signs = box !== undefined && row.state === 'active' && row.private_jwk !== null;
  return {
    row,
    publicKey: await importKey(row.public_jwk),
    privateKey: signs ? await unseal(row, box) : undefined,
  };
}

async function unseal(row: SigningKeyRow, box: SecretBox): Promise<CryptoKey> {
  let jwk: JWK;
  try {
    jwk = JSON.parse(
      box.open(`${PRIVATE} ${row.kid}`, row.private_jwk ?? Buffer.alloc(0)).toString('utf8'),
    ) as JWK;
  } catch (cause) {
    throw new Error(
      'The signing keys in the database were sealed under another key. Set CONFIG_ENCRYPTION_KEY to the one they were made with ' +
        '(or restore DATA_DIR/encryption.key); several nodes on one database need the same CONFIG_ENCRYPTION_KEY.',
      { cause },
    );
  }
  return importKey(jwk);
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  return (await importJWK(jwk, 'ES256')) as CryptoKey;
}

async function insertKey(
  sql: Sql,
  box: SecretBox,
  { state, now }: { state: 'pending' | 'active'; now: Date },
): Promise<void> {
  const pair = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = `${(await calculateJwkThumbprint(publicJwk)).slice(0, 16)}-${randomUUID().slice(0, 8)}`;
  const sealed = box.seal(`${PRIVATE} ${kid}`, JSON.stringify(await exportJWK(pair.privateKey)));
  await sql(
    `INSERT INTO signing_keys (kid, alg, public_jwk, private_jwk, state, created_at, activated_at)
     VALUES ($1, 'ES256', $2, $3, $4, $5, $6)`,
    [kid, publicJwk, sealed, state, now, state === 'active' ? now : null],
  );
  await auditKey(sql, 'key.created', { kid, state });
}

async function rotate(sql: Sql, box: SecretBox, now: Date, rotation: Rotation): Promise<NextKey> {
  const { immediately = false, inside } = rotation;
  const waiting = await findPending(sql);
  if (waiting === undefined) await insertKey(sql, box, { state: 'pending', now });
  const key = waiting ?? (await findPending(sql));
  if (key === undefined) throw new Error('the new signing key was not inserted');
  if (immediately) await promote(sql, now, 0);
  const { kid, created_at: createdAt } = key;
  const next: NextKey = {
    kid,
    state: immediately ? 'active' : 'pending',
    createdAt,
    signsFrom: immediately ? now : new Date(createdAt.getTime() + JWKS_MAX_AGE_SECONDS * 1_000),
    made: waiting === undefined,
  };
  await inside?.(sql, next);
  return next;
}

async function findPending(sql: Sql): Promise<Pick<SigningKeyRow, 'kid' | 'created_at'> | undefined> {
  const [row] = await sql<Pick<SigningKeyRow, 'kid' | 'created_at'>>(
    `SELECT kid, created_at FROM signing_keys WHERE state = 'pending' ORDER BY created_at LIMIT 1`,
  );
  return row;
}

/** The oldest pending key that every cache knows starts to sign; the active one retires. */
async function promote(sql: Sql, now: Date, afterSeconds: number): Promise<void> {
  const [next] = await sql<{ kid: string }>(
    `SELECT kid FROM signing_keys WHERE state = 'pending' AND created_at <= $1::timestamptz - make_interval(secs => $2)
     ORDER BY created_at LIMIT 1`,
    [now, afterSeconds],
  );
  if (next === undefined) return;
  await sql(`UPDATE signing_keys SET state = 'retiring', retiring_at = $1 WHERE state = 'active'`, [now]);
  await sql(`UPDATE signing_keys SET state = 'active', activated_at = $2 WHERE kid = $1`, [next.kid, now]);
  await auditKey(sql, 'key.activated', { kid: next.kid });
}

/** A key whose last token has expired is refused from now on; its private half is erased. */
async function retire(sql: Sql, now: Date, afterSeconds: number): Promise<void> {
  const retired = await sql<{ kid: string }>(
    `UPDATE signing_keys SET state = 'retired', private_jwk = NULL
     WHERE state = 'retiring' AND retiring_at <= $1::timestamptz - make_interval(secs => $2) RETURNING kid`,
    [now, afterSeconds],
  );
  for (const { kid } of retired) await auditKey(sql, 'key.retired', { kid });
}

/** Keys belong to the installation: their events stand in the default tenant's log. */
async function auditKey(sql: Sql, action: string, details: Record<string, unknown>): Promise<void> {
  await appendAudit(sql, { tenantId: 1, action, principal: null, success: true, details });
}
