import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import { claimUsername, lockAddress } from './accounts.ts';
import { isAdminKey } from './admin-key.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayInvite } from './invitations.ts';
import { keyOf } from './names.ts';
import { endCodesOfAddress } from './one-time-codes.ts';
import { findTenantOf, sha256 } from './opaque.ts';
import { requireAcceptablePassword } from './passwords.ts';
import { parseGrants, principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { findRoleScopes } from './role-look-up.ts';
import { grantsOfRole } from './roles.ts';
import { tenantTitle } from './tenants.ts';

/** Taking the place one was invited to. The token is proof of having read the mail, so the address counts as verified. */

export interface Acceptance {
  token: string;
  username: string;
  password: string;
}

interface OpenInvitation {
  id: string;
  email: string;
  email_key: string;
  role: string;
  partitions: string[];
  invited_by: string;
  tenant: string;
}

/** What an invitation is to. Throws `invalid_invitation`, `address_refused`. */
export async function lookAtInvitation(
  core: IdentityCore,
  token: string,
  caller: Caller,
): Promise<{ email: string; role: string; tenant: string; tenantId: number }> {
  const found = await findOpen(core, token);
  if (found === undefined) throw new AppError('invalid_invitation');
  await core.addressRules.requireAllowed(found.tenantId, caller);
  const { email, role, tenant } = found.invitation;
  return { email, role, tenant: tenantTitle(tenant, core.issuer()), tenantId: found.tenantId };
}

/**
 * Makes the account. Of parallel acceptances one wins; a username that is taken leaves the invitation open. An invitation is
 * worth no more than whoever made it may still give. Throws `invalid_invitation`, `username_taken`, `password_refused`,
 * `invalid_request`, `busy`, `address_refused`. Returns the new account's id, and where it lives.
 */
export async function acceptInvitation(
  core: IdentityCore,
  acceptance: Acceptance,
  caller: Caller,
): Promise<{ userId: string; tenantId: number }> {
  const found = await findOpen(core, acceptance.token);
  if (found === undefined) {
    await auditRefusal(core, PEOPLE_TENANT, caller);
    throw new AppError('invalid_invitation');
  }
  const { tenantId, invitation } = found;
  await core.addressRules.requireAllowed(tenantId, caller);
  const { email } = invitation;
  const names = [acceptance.username, email, email.slice(0, email.lastIndexOf('@'))];
  requireAcceptablePassword(acceptance.password, names);
  const passwordHash = await core.passwords.hash(acceptance.password);
  const userId = randomUUID();
  const accepted = await core.db.transaction(async ({ sql }) => {
    await lockAddress(sql, invitation.email_key, tenantId);
    await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
    if (!(await canStillBeGiven(core, sql, tenantId, invitation))) return false;
    if (!(await consume(core, sql, { tenantId, token: acceptance.token, userId }))) return false;
    const account = { ...acceptance, ...invitation, tenantId, userId, passwordHash };
    await insertUser(core, sql, account);
    await appendAudit(sql, {
      tenantId,
      action: 'invitation.accepted',
      principal: principalKey({ kind: 'user', id: userId }),
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { invitation: invitation.id, role: invitation.role },
    });
    return true;
  });
  if (accepted) return { userId, tenantId };
  await auditRefusal(core, tenantId, caller);
  throw new AppError('invalid_invitation');
}

async function findOpen(
  core: IdentityCore,
  token: string,
): Promise<{ tenantId: number; invitation: OpenInvitation } | undefined> {
  const tenantId = findTenantOf('siv', token);
  if (tenantId === undefined) return undefined;
  const [invitation] = await core.db.sql<OpenInvitation>(
    `SELECT i.id, i.email, i.email_key, i.role, i.partitions, i.invited_by, t.name AS tenant
     FROM invitations i JOIN tenants t ON t.id = i.tenant_id
     WHERE i.tenant_id = $1 AND i.hash = $2 AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > $3`,
    [tenantId, sha256(token), new Date(core.clock())],
  );
  return invitation === undefined ? undefined : { tenantId, invitation };
}

/** One statement uses the token up (S27). */
async function consume(
  core: IdentityCore,
  sql: Sql,
  { tenantId, token, userId }: { tenantId: number; token: string; userId: string },
): Promise<boolean> {
  const rows = await sql(
    `UPDATE invitations SET accepted_at = $3, accepted_by = $4
     WHERE tenant_id = $1 AND hash = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at > $3
     RETURNING 1`,
    [tenantId, sha256(token), new Date(core.clock()), userId],
  );
  return rows.length > 0;
}

async function insertUser(
  core: IdentityCore,
  sql: Sql,
  account: OpenInvitation & Acceptance & { tenantId: number; userId: string; passwordHash: string },
): Promise<void> {
  const { tenantId } = account;
  const usernameKey = keyOf(account.username);
  const [holder] = await sql(
    'SELECT 1 FROM users WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NOT NULL',
    [tenantId, account.email_key],
  );
  // a sign-up came first: the person has an account, which an administrator can change
  if (holder !== undefined)
    throw new AppError('already_exists', { message: 'Your address has an account by now: log in with it.' });
  await claimUsername(core, sql, tenantId, usernameKey);
  const rows = await sql(
    `INSERT INTO users (tenant_id, id, username, username_key, email, email_key, password_hash, role, partitions,
                        created_at, verified_at, changed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, clock_timestamp())
     ON CONFLICT (tenant_id, username_key) DO NOTHING RETURNING 1`,
    [
      tenantId,
      account.userId,
      account.username,
      usernameKey,
      account.email,
      account.email_key,
      account.passwordHash,
      account.role,
      account.partitions,
      new Date(core.clock()),
    ],
  );
  if (rows.length === 0) throw new AppError('username_taken');
  await endCodesOfAddress(core, sql, { tenantId, emailKey: account.email_key, purpose: 'verify_email' });
}

/** Whoever made the invitation is still there, and still has what it gives. */
async function canStillBeGiven(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  { invited_by, role, partitions }: OpenInvitation,
): Promise<boolean> {
  const giver = await findGiver(core, sql, tenantId, invited_by);
  if (giver === undefined) return false;
  try {
    await requireMayInvite(sql, giver, { role, partitions });
    return giver.scopes.has('admin');
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}

/** Who made it, with the rights they have now; undefined when they can no longer act. */
async function findGiver(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  key: string,
): Promise<Principal | undefined> {
  const [kind = '', id = ''] = key.split(':');
  const giver = { tenantId, id, name: '', sessionId: '', expiresAt: 0 };
  if (isAdminKey({ kind: kind as Principal['kind'], id }))
    return { ...giver, kind: 'api_key', scopes: new Set(['admin']), grants: parseGrants(['*']) };
  if (kind !== 'user' && kind !== 'client' && kind !== 'api_key') return undefined;
  const now = new Date(core.clock());
  const [row] = await sql<GiverRow>(GIVER[kind], [tenantId, id, ...(kind === 'api_key' ? [now] : [])]);
  if (row === undefined) return undefined;
  const { role, partitions } = row;
  const scopes = role === null ? (row.scopes ?? []) : await findRoleScopes(sql, tenantId, role);
  const grants = parseGrants(role === null ? partitions : grantsOfRole(role, partitions));
  return { ...giver, kind, scopes: new Set(scopes), grants };
}

interface GiverRow {
  role: string | null;
  scopes: string[] | null;
  partitions: string[];
}

const GIVER = {
  user: `SELECT role, NULL AS scopes, partitions FROM users
         WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`,
  client: `SELECT NULL AS role, scopes, partitions FROM oauth_clients
           WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL`,
  api_key: `SELECT NULL AS role, permissions AS scopes, partitions FROM api_keys
            WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL AND revoked_at IS NULL
              AND (expires_at IS NULL OR expires_at > $3)`,
};

async function auditRefusal(core: IdentityCore, tenantId: number, caller: Caller): Promise<void> {
  await appendAudit(core.db.sql, {
    tenantId,
    action: 'invitation.accepted',
    principal: null,
    success: false,
    code: 'invalid_invitation',
    ip: caller.ip,
    requestId: caller.requestId,
  });
}
