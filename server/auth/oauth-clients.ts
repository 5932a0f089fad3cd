import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import type { AuthMethod } from './client-grants.ts';
import type { ClientKeys } from './client-keys.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant, requireNoLoosening } from './granting.ts';
import type { Bounds } from './granting.ts';
import { createClientId, createClientSecret, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { revokeSessions } from './revocations.ts';
import { requireTenant } from './tenants.ts';

/** Registration and care of OAuth clients. Every function acts in the tenant of `by`, and in no other. */

export interface ClientSettings {
  name: string;
  scopes: string[];
  partitions: string[];
  ipAllowList: string[];
  ratePerMinute: number | null;
}

/** How a client proves itself. */
export interface ClientAuthentication {
  /** The one way it authenticates in; null: by a secret, in the header or the body. */
  authMethod: AuthMethod | null;
  /** Its public keys: with private_key_jwt, and with nothing else. */
  jwks: ClientKeys | null;
  /** It gets tokens only that are bound to a key (RFC 9449). */
  dpopBound: boolean;
}

type Changeable = ClientSettings & ClientAuthentication;

export type ClientChanges = { [Key in keyof Changeable]?: Changeable[Key] | undefined } & {
  disabled?: boolean | undefined;
};

export interface ClientView extends Changeable {
  id: string;
  clientId: string;
  tenantId: number;
  disabled: boolean;
  createdAt: Date;
  secrets: { id: string; createdAt: Date; expiresAt: Date | null }[];
}

/** A secret in the clear: shown once. */
export interface NewSecret {
  secretId: string;
  clientSecret: string;
}

const BY_SECRET: ClientAuthentication = { authMethod: null, jwks: null, dpopBound: false };

/** Registers a client with its first secret. Throws `forbidden` for a scope or partition that `by` does not have. */
export async function registerClient(
  core: IdentityCore,
  by: Principal,
  settings: ClientSettings & Partial<ClientAuthentication>,
  caller: Caller,
): Promise<NewSecret & { client: ClientView }> {
  return core.db.transaction(async ({ sql }) => {
    const id = await insertClient(core, sql, by, { ...BY_SECRET, ...settings });
    const secret = await insertSecret(core, sql, by.tenantId, id);
    await auditRegistration(sql, by, caller, { id, name: settings.name });
    return { ...secret, client: await requireClient(sql, by.tenantId, id) };
  });
}

/** Registers a client that proves itself by a key of its own: there is no secret to be stolen. Throws as `registerClient`. */
export async function registerKeyClient(
  core: IdentityCore,
  by: Principal,
  settings: ClientSettings & ClientAuthentication,
  caller: Caller,
): Promise<ClientView> {
  return core.db.transaction(async ({ sql }) => {
    const id = await insertClient(core, sql, by, settings);
    await auditRegistration(sql, by, caller, { id, name: settings.name });
    return requireClient(sql, by.tenantId, id);
  });
}

async function insertClient(
  core: IdentityCore,
  sql: Sql,
  by: Principal,
  settings: Changeable,
): Promise<string> {
  requireMayGrant(by, settings);
  requireFit(settings);
  const { tenantId } = by;
  await requireTenant(sql, tenantId);
  const id = randomUUID();
  await sql(
    `INSERT INTO oauth_clients (tenant_id, id, client_id, name, scopes, partitions, ip_allow_list, rate_per_minute,
                                created_by, created_at, auth_method, jwks, dpop_bound)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      tenantId,
      id,
      createClientId(tenantId),
      settings.name,
      settings.scopes,
      settings.partitions,
      settings.ipAllowList,
      settings.ratePerMinute,
      principalKey(by),
      new Date(core.clock()),
      settings.authMethod,
      settings.jwks,
      settings.dpopBound,
    ],
  );
  return id;
}

/** Keys and method go together: a method without keys would lock the client out, keys without it would mean nothing. */
function requireFit({ authMethod, jwks }: Pick<ClientAuthentication, 'authMethod' | 'jwks'>): void {
  if ((authMethod === 'private_key_jwt') === (jwks !== null)) return;
  const message = 'jwks goes with the token_endpoint_auth_method private_key_jwt, and with no other.';
  throw new AppError('invalid_request', { message });
}

export async function listClients(core: IdentityCore, tenantId: number): Promise<ClientView[]> {
  return (await core.db.sql<ClientViewRow>(`${SELECT} ORDER BY c.created_at, c.id`, [tenantId])).map(toView);
}

/**
 * Changes a client; disabling it ends its sessions in the same transaction. Throws `not_found`; `forbidden` and
 * `forbidden_partition` when `by` does not hold what the client has or is to have; `forbidden` for a client that loosens its own bounds.
 */
export async function changeClient(
  core: IdentityCore,
  by: Principal,
  change: { id: string; changes: ClientChanges },
  caller: Caller,
): Promise<ClientView> {
  const { id, changes } = change;
  requireMayGrant(by, changes);
  const { tenantId } = by;
  const { view, ended } = await core.db.transaction(async ({ sql }) => {
    const before = await lockClient(sql, tenantId, id);
    requireMayControl(by, before);
    requireNoLoosening(by, { kind: 'client', id }, { before: boundsOf(before), next: boundsOf(changes) });
    const { authMethod = before.authMethod, jwks = before.jwks } = changes;
    requireFit({ authMethod, jwks });
    await sql(UPDATE, [
      tenantId,
      id,
      changes.name ?? null,
      changes.scopes ?? null,
      changes.partitions ?? null,
      changes.ipAllowList ?? null,
      changes.ratePerMinute !== undefined,
      changes.ratePerMinute ?? null,
      changes.disabled ?? null,
      new Date(core.clock()),
      authMethod,
      jwks,
      changes.dpopBound ?? null,
    ]);
    if (authMethod === 'private_key_jwt') await dropSecrets(sql, tenantId, id);
    await auditAct(sql, by, caller, {
      action: 'client.changed',
      details: { client: id, fields: Object.keys(changes) },
    });
    const cause = { reason: 'client_disabled', by: principalKey(by), caller };
    const sessions =
      changes.disabled === true ? await revokeSessions(sql, { tenantId, kind: 'client', id }, cause) : [];
    return { view: await requireClient(sql, tenantId, id), ended: sessions };
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'client', id }));
  return view;
}

function boundsOf({ ipAllowList, ratePerMinute: rate, dpopBound }: ClientChanges): Bounds {
  return { ipAllowList, rate, dpopBound };
}

/**
 * Adds a secret; the earlier ones stay valid for `overlapSeconds` more, at the longest (S44). Whoever learns the secret can act
 * as the client, so `by` must hold all that the client does.
 */
export async function rotateSecret(
  core: IdentityCore,
  by: Principal,
  rotation: { id: string; overlapSeconds: number },
  caller: Caller,
): Promise<NewSecret> {
  const { tenantId } = by;
  return core.db.transaction(async ({ sql }) => {
    const client = await lockClient(sql, tenantId, rotation.id);
    requireMayControl(by, client);
    if (client.authMethod === 'private_key_jwt') {
      throw new AppError('invalid_request', {
        message: 'This client proves itself by its key: change jwks.',
      });
    }
    const until = new Date(core.clock() + rotation.overlapSeconds * 1_000);
    await sql(
      `UPDATE client_secrets SET expires_at = least(coalesce(expires_at, $3), $3)
       WHERE tenant_id = $1 AND oauth_client_id = $2`,
      [tenantId, client.id, until],
    );
    const secret = await insertSecret(core, sql, tenantId, client.id);
    await auditAct(sql, by, caller, {
      action: 'client.secret_added',
      details: { client: client.id, secretId: secret.secretId, oldValidUntil: until },
    });
    return secret;
  });
}

export async function removeSecret(
  core: IdentityCore,
  by: Principal,
  secret: { id: string; secretId: string },
  caller: Caller,
): Promise<void> {
  await core.db.transaction(async ({ sql }) => {
    requireMayControl(by, await lockClient(sql, by.tenantId, secret.id));
    const removed = await sql(
      'DELETE FROM client_secrets WHERE tenant_id = $1 AND oauth_client_id = $2 AND id = $3 RETURNING 1',
      [by.tenantId, secret.id, secret.secretId],
    );
    if (removed.length === 0) throw new AppError('not_found', { message: 'There is no such secret.' });
    const details = { secretId: secret.secretId };
    await auditAct(sql, by, caller, {
      action: 'client.secret_removed',
      details: { client: secret.id, ...details },
    });
  });
}

const UPDATE = `
  UPDATE oauth_clients SET
    name = coalesce($3, name), scopes = coalesce($4, scopes), partitions = coalesce($5, partitions),
    ip_allow_list = coalesce($6, ip_allow_list),
    rate_per_minute = CASE WHEN $7 THEN $8::integer ELSE rate_per_minute END,
    disabled_at = CASE WHEN $9::boolean THEN coalesce(disabled_at, $10::timestamptz)
                       WHEN NOT $9 THEN NULL ELSE disabled_at END,
    auth_method = $11, jwks = $12, dpop_bound = coalesce($13, dpop_bound),
    changed_at = clock_timestamp()
  WHERE tenant_id = $1 AND id = $2`;

const SELECT = `
  SELECT c.tenant_id, c.id, c.client_id, c.name, c.scopes, c.partitions, c.ip_allow_list, c.rate_per_minute,
         c.disabled_at, c.created_at, c.auth_method, c.jwks, c.dpop_bound,
         coalesce((SELECT json_agg(json_build_object('id', s.id, 'createdAt', s.created_at, 'expiresAt', s.expires_at)
                                   ORDER BY s.created_at)
                   FROM client_secrets s WHERE s.tenant_id = c.tenant_id AND s.oauth_client_id = c.id), '[]') AS secrets
  FROM oauth_clients c WHERE c.tenant_id = $1`;

interface ClientViewRow {
  tenant_id: number;
  id: string;
  client_id: string;
  name: string;
  scopes: string[];
  partitions: string[];
  ip_allow_list: string[];
  rate_per_minute: number | null;
  disabled_at: Date | null;
  created_at: Date;
  auth_method: AuthMethod | null;
  jwks: ClientKeys | null;
  dpop_bound: boolean;
  secrets: { id: string; createdAt: string; expiresAt: string | null }[];
}

async function requireClient(sql: Sql, tenantId: number, id: string): Promise<ClientView> {
  const [row] = await sql<ClientViewRow>(`${SELECT} AND c.id = $2`, [tenantId, id]);
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such OAuth client.' });
  return toView(row);
}

/** Held until the end of the transaction, so that nobody widens the client between the check and the deed. */
async function lockClient(sql: Sql, tenantId: number, id: string): Promise<ClientView> {
  await sql('SELECT 1 FROM oauth_clients WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [tenantId, id]);
  return requireClient(sql, tenantId, id);
}

function toView(row: ClientViewRow): ClientView {
  return {
    id: row.id,
    clientId: row.client_id,
    tenantId: row.tenant_id,
    name: row.name,
    scopes: row.scopes,
    partitions: row.partitions,
    ipAllowList: row.ip_allow_list,
    ratePerMinute: row.rate_per_minute,
    authMethod: row.auth_method,
    jwks: row.jwks,
    dpopBound: row.dpop_bound,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    secrets: row.secrets.map((secret) => ({
      id: secret.id,
      createdAt: new Date(secret.createdAt),
      expiresAt: secret.expiresAt === null ? null : new Date(secret.expiresAt),
    })),
  };
}

/** What a client no longer proves itself by is not to come alive again when it turns back (S44). */
async function dropSecrets(sql: Sql, tenantId: number, id: string): Promise<void> {
  await sql('DELETE FROM client_secrets WHERE tenant_id = $1 AND oauth_client_id = $2', [tenantId, id]);
}

async function insertSecret(core: IdentityCore, sql: Sql, tenantId: number, id: string): Promise<NewSecret> {
  const secretId = randomUUID();
  const clientSecret = createClientSecret();
  await sql(
    'INSERT INTO client_secrets (tenant_id, id, oauth_client_id, hash, created_at) VALUES ($1, $2, $3, $4, $5)',
    [tenantId, secretId, id, sha256(clientSecret), new Date(core.clock())],
  );
  return { secretId, clientSecret };
}

async function auditRegistration(
  sql: Sql,
  by: Principal,
  caller: Caller,
  { id, name }: { id: string; name: string },
): Promise<void> {
  await auditAct(sql, by, caller, { action: 'client.registered', details: { client: id, name } });
}
