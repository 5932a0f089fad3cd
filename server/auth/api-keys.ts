import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant, requireNoLoosening } from './granting.ts';
import type { Bounds } from './granting.ts';
import { lockOwner } from './key-owners.ts';
import { createApiKey, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { announceEnd, revokeIn } from './revoke.ts';

/** Making and care of API keys. Every function acts in the tenant of `by`, and in no other. */

export interface KeySettings {
  /** Scopes. */
  permissions: string[];
  partitions: string[];
  /** Requests in a window of RATE_LIMIT_WINDOW_MS. */
  rateLimit: number | null;
  expiresAt: Date | null;
}

export type KeyChanges = { [Key in keyof KeySettings]?: KeySettings[Key] | undefined } & {
  isActive?: boolean | undefined;
};

export interface KeyView extends KeySettings {
  id: string;
  clientId: string;
  clientName: string;
  clientType: string;
  isActive: boolean;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
  /** The part of each secret that is none. */
  prefixes: { prefix: string; expiresAt: string | null }[];
}

/** A key in the clear: shown once. */
export interface NewKey {
  apiKey: string;
  key: KeyView;
}

/** Throws `not_found` (no such owner), `forbidden` and `forbidden_partition` for what `by` does not have (S54). */
export async function createKey(
  core: IdentityCore,
  by: Principal,
  request: KeySettings & { clientId: string },
  caller: Caller,
): Promise<NewKey> {
  const { permissions, partitions, clientId } = request;
  requireMayGrant(by, { scopes: permissions, partitions });
  const { tenantId } = by;
  const id = randomUUID();
  return core.db.transaction(async ({ sql }) => {
    await lockOwner(sql, tenantId, clientId);
    await sql(
      `INSERT INTO api_keys (tenant_id, id, client_id, permissions, partitions, rate_limit, expires_at, created_by,
                             created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
      [
        tenantId,
        id,
        clientId,
        permissions,
        partitions,
        request.rateLimit,
        request.expiresAt,
        principalKey(by),
        new Date(core.clock()),
      ],
    );
    const { apiKey, prefix } = await insertSecret(core, sql, tenantId, id);
    const details = { client: clientId, prefix, permissions, partitions };
    await auditAct(sql, by, caller, { action: 'api_key.created', details: { apiKey: id, ...details } });
    return { apiKey, key: await requireKey(sql, tenantId, id) };
  });
}

/** The newest first. */
export async function listKeys(
  core: IdentityCore,
  tenantId: number,
  page: { page: number; limit: number; clientId?: string | undefined },
): Promise<{ keys: KeyView[]; total: number }> {
  const owner = page.clientId ?? null;
  const keys = await core.db.sql<KeyView>(
    `${SELECT} AND ($2::uuid IS NULL OR k.client_id = $2) ORDER BY k.created_at DESC, k.id LIMIT $3 OFFSET $4`,
    [tenantId, owner, page.limit, (page.page - 1) * page.limit],
  );
  const [row] = await core.db.sql<{ total: number }>(
    `SELECT count(*)::integer AS total FROM api_keys WHERE tenant_id = $1 AND ($2::uuid IS NULL OR client_id = $2)`,
    [tenantId, owner],
  );
  return { keys, total: row?.total ?? 0 };
}

/**
 * Changes a key, switches it off or on again. Throws `not_found`; `forbidden` and `forbidden_partition` when `by` does not hold
 * what the key has or is to have; `forbidden` for one that is revoked, and for a key that loosens its own bounds.
 */
export async function changeKey(
  core: IdentityCore,
  by: Principal,
  change: { id: string; changes: KeyChanges },
  caller: Caller,
): Promise<KeyView> {
  const { id, changes } = change;
  const { tenantId } = by;
  requireMayGrant(by, { scopes: changes.permissions, partitions: changes.partitions });
  const view = await core.db.transaction(async ({ sql }) => {
    const before = await lockKey(sql, by, id);
    requireLiving(before);
    const bounds = ({ expiresAt, rateLimit: rate }: Partial<KeyChanges>): Bounds => ({ expiresAt, rate });
    requireNoLoosening(by, { kind: 'api_key', id }, { before: bounds(before), next: bounds(changes) });
    await sql(UPDATE, [
      tenantId,
      id,
      changes.permissions ?? null,
      changes.partitions ?? null,
      changes.rateLimit !== undefined,
      changes.rateLimit ?? null,
      changes.expiresAt !== undefined,
      changes.expiresAt ?? null,
      changes.isActive ?? null,
      new Date(core.clock()),
    ]);
    const details = { fields: Object.keys(changes) };
    await auditAct(sql, by, caller, { action: 'api_key.changed', details: { apiKey: id, ...details } });
    return requireKey(sql, tenantId, id);
  });
  announce(core, tenantId, id);
  return view;
}

/**
 * A new secret for the same key; the earlier ones stay valid for `overlapSeconds` more, at the longest. Whoever learns it can
 * act as the key, so `by` must hold all that the key does.
 */
export async function rotateKey(
  core: IdentityCore,
  by: Principal,
  rotation: { id: string; overlapSeconds: number },
  caller: Caller,
): Promise<NewKey> {
  const { tenantId } = by;
  const { id, overlapSeconds } = rotation;
  const made = await core.db.transaction(async ({ sql }) => {
    requireLiving(await lockKey(sql, by, id));
    const until = new Date(core.clock() + overlapSeconds * 1_000);
    await sql(
      `UPDATE api_key_secrets SET expires_at = least(coalesce(expires_at, $3), $3)
       WHERE tenant_id = $1 AND api_key_id = $2`,
      [tenantId, id, until],
    );
    await sql(
      'UPDATE api_keys SET updated_at = $3, changed_at = clock_timestamp() WHERE tenant_id = $1 AND id = $2',
      [tenantId, id, new Date(core.clock())],
    );
    const { apiKey, prefix } = await insertSecret(core, sql, tenantId, id);
    const details = { prefix, oldValidUntil: until };
    await auditAct(sql, by, caller, { action: 'api_key.rotated', details: { apiKey: id, ...details } });
    return { apiKey, key: await requireKey(sql, tenantId, id) };
  });
  announce(core, tenantId, id);
  return made;
}

/** Ends a key for good, on every node at once; one that has ended stays as it is. Throws `not_found`, `forbidden`, `forbidden_partition`. */
export async function revokeKey(
  core: IdentityCore,
  by: Principal,
  id: string,
  caller: Caller,
): Promise<KeyView> {
  const { tenantId } = by;
  const target = { tenantId, kind: 'api_key', id } as const;
  const view = await core.db.transaction(async ({ sql }) => {
    const key = await lockKey(sql, by, id);
    if (key.revokedAt !== null) return key;
    await revokeIn(core, sql, target, { reason: 'api_key_revoked', by: principalKey(by), caller });
    return requireKey(sql, tenantId, id);
  });
  // also for one that had ended: the word may have been lost
  announceEnd(core, target, []);
  return view;
}

const UPDATE = `
  UPDATE api_keys SET
    permissions = coalesce($3, permissions), partitions = coalesce($4, partitions),
    rate_limit = CASE WHEN $5 THEN $6::integer ELSE rate_limit END,
    expires_at = CASE WHEN $7 THEN $8::timestamptz ELSE expires_at END,
    disabled_at = CASE WHEN $9::boolean THEN NULL WHEN NOT $9 THEN coalesce(disabled_at, $10::timestamptz)
                       ELSE disabled_at END,
    updated_at = $10, changed_at = clock_timestamp()
  WHERE tenant_id = $1 AND id = $2`;

const SELECT = `
  SELECT k.id, k.client_id AS "clientId", c.name AS "clientName", c.client_type AS "clientType", k.permissions,
         k.partitions, k.rate_limit AS "rateLimit", k.expires_at AS "expiresAt", k.revoked_at AS "revokedAt",
         k.revoked_at IS NULL AND k.disabled_at IS NULL AND c.disabled_at IS NULL AS "isActive",
         k.last_used_at AS "lastUsedAt", k.created_at AS "createdAt", k.updated_at AS "updatedAt",
         coalesce((SELECT json_agg(json_build_object('prefix', s.prefix, 'expiresAt', s.expires_at) ORDER BY s.created_at)
                   FROM api_key_secrets s WHERE s.tenant_id = k.tenant_id AND s.api_key_id = k.id), '[]') AS prefixes
  FROM api_keys k JOIN clients c ON c.tenant_id = k.tenant_id AND c.id = k.client_id
  WHERE k.tenant_id = $1`;

async function requireKey(sql: Sql, tenantId: number, id: string): Promise<KeyView> {
  const [row] = await sql<KeyView>(`${SELECT} AND k.id = $2`, [tenantId, id]);
  if (row === undefined) throw new AppError('not_found', { message: 'There is no such API key.' });
  return row;
}

/** Held until the end of the transaction, so that nobody widens the key between the check and the deed. */
async function lockKey(sql: Sql, by: Principal, id: string): Promise<KeyView> {
  await sql('SELECT 1 FROM api_keys WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [by.tenantId, id]);
  const key = await requireKey(sql, by.tenantId, id);
  requireMayControl(by, { scopes: key.permissions, partitions: key.partitions });
  return key;
}

function requireLiving(key: KeyView): void {
  if (key.revokedAt !== null) {
    throw new AppError('forbidden', { message: 'The API key is revoked for good: make another.' });
  }
}

function announce(core: IdentityCore, tenantId: number, id: string): void {
  core.revocations.announceChanged(tenantId, principalKey({ kind: 'api_key', id }));
}

async function insertSecret(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  id: string,
): Promise<{ apiKey: string; prefix: string }> {
  const { key, prefix } = createApiKey(tenantId);
  await sql(
    'INSERT INTO api_key_secrets (tenant_id, prefix, api_key_id, hash, created_at) VALUES ($1, $2, $3, $4, $5)',
    [tenantId, prefix, id, sha256(key), new Date(core.clock())],
  );
  return { apiKey: key, prefix };
}
