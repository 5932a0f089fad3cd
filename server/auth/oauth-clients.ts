import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant } from './granting.ts';
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

export type ClientChanges = { [Key in keyof ClientSettings]?: ClientSettings[Key] | undefined } & {
  disabled?: boolean | undefined;
};

export interface ClientView extends ClientSettings {
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

/** Registers a client with its first secret. Throws `forbidden` for a scope or partition that `by` does not have. */
export async function registerClient(
  core: IdentityCore,
  by: Principal,
  settings: ClientSettings,
  caller: Caller,
): Promise<NewSecret & { client: ClientView }> {
  requireMayGrant(by, settings);
  const { tenantId } = by;
  const id = randomUUID();
  const clientId = createClientId(tenantId);
  return core.db.transaction(async ({ sql }) => {
    await requireTenant(sql, tenantId);
    await sql(
      `INSERT INTO oauth_clients (tenant_id, id, client_id, name, scopes, partitions, ip_allow_list, rate_per_minute,
                                  created_by, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        tenantId,
        id,
        clientId,
        settings.name,
        settings.scopes,
        settings.partitions,
        settings.ipAllowList,
        settings.ratePerMinute,
        principalKey(by),
        new Date(core.clock()),
      ],
    );
    const secret = await insertSecret(core, sql, tenantId, id);
    await audit(sql, by, caller, { action: 'client.registered', id, details: { name: settings.name } });
    return { ...secret, client: await requireClient(sql, tenantId, id) };
  });
}

export async function listClients(core: IdentityCore, tenantId: number): Promise<ClientView[]> {
  return (await core.db.sql<ClientViewRow>(`${SELECT} ORDER BY c.created_at, c.id`, [tenantId])).map(toView);
}

/**
 * Changes a client; disabling it ends its sessions in the same transaction. Throws `not_found`; `forbidden` and
 * `forbidden_partition` when `by` does not hold what the client has or is to have.
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
    requireMayControl(by, await lockClient(sql, tenantId, id));
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
    ]);
    await audit(sql, by, caller, { action: 'client.changed', id, details: { fields: Object.keys(changes) } });
    const cause = { reason: 'client_disabled', by: principalKey(by), caller };
    const sessions =
      changes.disabled === true ? await revokeSessions(sql, { tenantId, kind: 'client', id }, cause) : [];
    return { view: await requireClient(sql, tenantId, id), ended: sessions };
  });
  core.revocations.announceRevoked(tenantId, ended);
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'client', id }));
  return view;
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
    const until = new Date(core.clock() + rotation.overlapSeconds * 1_000);
    await sql(
      `UPDATE client_secrets SET expires_at = least(coalesce(expires_at, $3), $3)
       WHERE tenant_id = $1 AND oauth_client_id = $2`,
      [tenantId, client.id, until],
    );
    const secret = await insertSecret(core, sql, tenantId, client.id);
    await audit(sql, by, caller, {
      action: 'client.secret_added',
      id: client.id,
      details: { secretId: secret.secretId, oldValidUntil: until },
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
    await audit(sql, by, caller, { action: 'client.secret_removed', id: secret.id, details });
  });
}

const UPDATE = `
  UPDATE oauth_clients SET
    name = coalesce($3, name), scopes = coalesce($4, scopes), partitions = coalesce($5, partitions),
    ip_allow_list = coalesce($6, ip_allow_list),
    rate_per_minute = CASE WHEN $7 THEN $8::integer ELSE rate_per_minute END,
    disabled_at = CASE WHEN $9::boolean THEN coalesce(disabled_at, $10::timestamptz)
                       WHEN NOT $9 THEN NULL ELSE disabled_at END,
    changed_at = clock_timestamp()
  WHERE tenant_id = $1 AND id = $2`;

const SELECT = `
  SELECT c.tenant_id, c.id, c.client_id, c.name, c.scopes, c.partitions, c.ip_allow_list, c.rate_per_minute,
         c.disabled_at, c.created_at,
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
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    secrets: row.secrets.map((secret) => ({
      id: secret.id,
      createdAt: new Date(secret.createdAt),
      expiresAt: secret.expiresAt === null ? null : new Date(secret.expiresAt),
    })),
  };
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

async function audit(
  sql: Sql,
  by: Principal,
  caller: Caller,
  event: { action: string; id: string; details: Record<string, unknown> },
): Promise<void> {
  await appendAudit(sql, {
    tenantId: by.tenantId,
    action: event.action,
    principal: principalKey(by),
    success: true,
    ip: caller.ip,
    requestId: caller.requestId,
    details: { client: event.id, ...event.details },
  });
}
