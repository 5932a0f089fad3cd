import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { invitationMail } from '../mail-texts.ts';
import { auditAct } from './audit-act.ts';
import { lockAddress, MAIL_JOB, MAILS_PER_HOUR } from './accounts.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { requireMayControl, requireMayGrant } from './granting.ts';
import { keyOf } from './names.ts';
import { createInvitationToken, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { requireRoleOfPeople } from './role-look-up.ts';
import { requireTenant, tenantTitle } from './tenants.ts';
import { findHoldings, isOwner } from './user-admin.ts';

/** Places for people, made by administrators. Accepting one is in invitation-accept.ts. */

export interface InvitationSettings {
  email: string;
  role: string;
  partitions: string[];
}

export interface InvitationView extends InvitationSettings {
  id: string;
  invitedBy: string;
  createdAt: Date;
  expiresAt: Date;
  state: 'open' | 'accepted' | 'withdrawn' | 'expired';
}

const LIFE_MS = 7 * 24 * 3_600_000;
const HOUR_MS = 3_600_000;
const MAX_LISTED = 200;

/**
 * Invites an address and mails its link; an earlier invitation of that address is withdrawn. Nobody invites to what they do not
 * have themselves, and only an owner invites an owner. Throws `forbidden`, `forbidden_partition`, `invalid_request` for a role
 * that there is not, `already_exists` for an address that has an account, `rate_limited`.
 */
export async function createInvitation(
  core: IdentityCore,
  by: Principal,
  settings: InvitationSettings,
  caller: Caller,
): Promise<InvitationView> {
  const { tenantId } = by;
  const id = randomUUID();
  const token = createInvitationToken(tenantId);
  const view = await core.db.transaction(async ({ sql }) => {
    await requireTenant(sql, tenantId);
    await lockAddress(sql, keyOf(settings.email), tenantId);
    // the tenant's row: the role stays until the invitation is there
    await sql('SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
    await requireMayInvite(sql, by, settings);
    await requireFreeAddress(core, sql, tenantId, keyOf(settings.email));
    await insert(core, sql, { by, settings, id, token });
    await mailLink(core, sql, { tenantId, settings, token });
    await auditAct(sql, by, caller, {
      action: 'invitation.created',
      details: { invitation: id, role: settings.role, partitions: settings.partitions },
    });
    return requireInvitation(core, sql, tenantId, id);
  });
  core.jobs.wake();
  return view;
}

/** The newest invitations of the tenant, in whatever state. */
export async function listInvitations(core: IdentityCore, tenantId: number): Promise<InvitationView[]> {
  const rows = await core.db.sql<InvitationRow>(
    `${SELECT} WHERE tenant_id = $1 ORDER BY created_at DESC, id LIMIT $2`,
    [tenantId, MAX_LISTED],
  );
  return rows.map((row) => toView(core, row));
}

/** Ends an invitation that nobody has accepted. Throws `not_found`, `forbidden`, `forbidden_partition`. */
export async function withdrawInvitation(
  core: IdentityCore,
  by: Principal,
  id: string,
  caller: Caller,
): Promise<void> {
  await core.db.transaction(async ({ sql }) => {
    const view = await requireInvitation(core, sql, by.tenantId, id);
    requireMayControl(by, await findHoldings(sql, by.tenantId, view));
    const withdrawn = await sql(
      `UPDATE invitations SET withdrawn_at = $3
       WHERE tenant_id = $1 AND id = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL RETURNING 1`,
      [by.tenantId, id, new Date(core.clock())],
    );
    if (withdrawn.length === 0) throw notFound();
    await auditAct(sql, by, caller, { action: 'invitation.withdrawn', details: { invitation: id } });
  });
}

/** Throws unless `by` may give away that role with those partitions, as they stand now. */
export async function requireMayInvite(
  sql: Sql,
  by: Principal,
  { role, partitions }: Pick<InvitationSettings, 'role' | 'partitions'>,
): Promise<void> {
  await requireRoleOfPeople(sql, by.tenantId, role);
  requireMayGrant(by, await findHoldings(sql, by.tenantId, { role, partitions }));
  if (role === 'owner' && !(await isOwner(sql, by)))
    throw new AppError('forbidden', { message: 'Only an owner may invite an owner.' });
}

/** Administrators see who has an account: it is said. */
async function requireFreeAddress(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  emailKey: string,
): Promise<void> {
  const [row] = await sql<{ taken: boolean; recent: number }>(
    `SELECT EXISTS (SELECT 1 FROM users
                    WHERE tenant_id = $1 AND email_key = $2 AND verified_at IS NOT NULL) AS taken,
            (SELECT count(*)::integer FROM invitations
             WHERE tenant_id = $1 AND email_key = $2 AND created_at > $3) AS recent`,
    [tenantId, emailKey, new Date(core.clock() - HOUR_MS)],
  );
  if (row?.taken === true)
    throw new AppError('already_exists', {
      message: 'That address has an account: change its role instead.',
    });
  if ((row?.recent ?? 0) >= MAILS_PER_HOUR) throw new AppError('rate_limited', { retryAfterMs: HOUR_MS });
}

async function insert(
  core: IdentityCore,
  sql: Sql,
  invitation: { by: Principal; settings: InvitationSettings; id: string; token: string },
): Promise<void> {
  const { by, settings, id, token } = invitation;
  const now = core.clock();
  await sql(
    `UPDATE invitations SET withdrawn_at = $3
     WHERE tenant_id = $1 AND email_key = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL`,
    [by.tenantId, keyOf(settings.email), new Date(now)],
  );
  await sql(
    `INSERT INTO invitations (tenant_id, id, email, email_key, role, partitions, hash, invited_by, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      by.tenantId,
      id,
      settings.email,
      keyOf(settings.email),
      settings.role,
      settings.partitions,
      sha256(token),
      principalKey(by),
      new Date(now),
      new Date(now + LIFE_MS),
    ],
  );
}

async function mailLink(
  core: IdentityCore,
  sql: Sql,
  invitation: { tenantId: number; settings: InvitationSettings; token: string },
): Promise<void> {
  const { tenantId, settings, token } = invitation;
  const [row] = await sql<{ name: string }>('SELECT name FROM tenants WHERE id = $1', [tenantId]);
  const to = {
    email: settings.email,
    role: settings.role,
    tenant: tenantTitle(row?.name ?? '', core.issuer()),
  };
  // where people sign up is where a login looks by itself
  const named = tenantId === PEOPLE_TENANT ? to : { ...to, tenantId };
  const payload = invitationMail(named, token, core.issuer());
  await core.jobs.enqueue(sql, { tenantId, kind: MAIL_JOB, payload });
}

const SELECT = `SELECT id, email, role, partitions, invited_by, created_at, expires_at,
                       accepted_at IS NOT NULL AS accepted, withdrawn_at IS NOT NULL AS withdrawn FROM invitations`;

interface InvitationRow {
  id: string;
  email: string;
  role: string;
  partitions: string[];
  invited_by: string;
  created_at: Date;
  expires_at: Date;
  accepted: boolean;
  withdrawn: boolean;
}

async function requireInvitation(
  core: IdentityCore,
  sql: Sql,
  tenantId: number,
  id: string,
): Promise<InvitationView> {
  const [row] = await sql<InvitationRow>(`${SELECT} WHERE tenant_id = $1 AND id = $2`, [tenantId, id]);
  if (row === undefined) throw notFound();
  return toView(core, row);
}

function toView(core: IdentityCore, row: InvitationRow): InvitationView {
  const { id, email, role, partitions } = row;
  const isOver = row.expires_at.getTime() <= core.clock();
  const state = row.accepted ? 'accepted' : row.withdrawn ? 'withdrawn' : isOver ? 'expired' : 'open';
  return {
    ...{ id, email, role, partitions, state },
    invitedBy: row.invited_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

function notFound(): AppError {
  return new AppError('not_found', { message: 'There is no such open invitation.' });
}
