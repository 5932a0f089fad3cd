import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createAddressCheck } from './ip-allow-list.ts';
import { findTenantOf, sameDigest, sha256 } from './opaque.ts';
import { mint, openSession } from './sessions.ts';
import type { TokenSet } from './sessions.ts';

/** An OAuth client that has proved its secret. */
export interface AuthenticatedClient {
  tenantId: number;
  id: string;
  clientId: string;
  scopes: string[];
  ratePerMinute: number | null;
}

interface ClientRow {
  tenant_id: number;
  id: string;
  scopes: string[];
  ip_allow_list: string[];
  rate_per_minute: number | null;
  disabled: boolean;
  hashes: Buffer[] | null;
}

const FIND = `
  SELECT c.tenant_id, c.id, c.scopes, c.ip_allow_list, c.rate_per_minute, c.disabled_at IS NOT NULL AS disabled,
         (SELECT array_agg(s.hash) FROM client_secrets s
          WHERE s.tenant_id = c.tenant_id AND s.oauth_client_id = c.id
            AND (s.expires_at IS NULL OR s.expires_at > $3)) AS hashes
  FROM oauth_clients c WHERE c.tenant_id = $1 AND c.client_id = $2`;

const NOTHING = Buffer.alloc(32);

/**
 * Checks a client's secret. An unknown client costs the same look-up, comparison and audit row as a wrong secret, and gets
 * the same refusal (S43). Throws `invalid_credentials`; `forbidden` when only its address is not allowed (S47).
 */
export async function authenticateClient(
  core: IdentityCore,
  credentials: { clientId: string; secret: string },
  caller: Caller,
): Promise<AuthenticatedClient> {
  const [row] = await core.db.sql<ClientRow>(FIND, [
    findTenantOf('slc', credentials.clientId) ?? 0,
    credentials.clientId,
    new Date(core.clock()),
  ]);
  const given = sha256(credentials.secret);
  const matches = (row?.hashes ?? [NOTHING]).map((hash) => sameDigest(hash, given)).includes(true);
  if (row === undefined || !matches || row.disabled) {
    await auditRefusal(core, row, 'invalid_credentials', caller);
    throw new AppError('invalid_credentials');
  }
  if (!createAddressCheck(row.ip_allow_list)(caller.ip)) {
    await auditRefusal(core, row, 'forbidden', caller);
    throw new AppError('forbidden', { message: 'This client may not be used from your address.' });
  }
  return {
    tenantId: row.tenant_id,
    id: row.id,
    clientId: credentials.clientId,
    scopes: row.scopes,
    ratePerMinute: row.rate_per_minute,
  };
}

/** The client_credentials grant (RFC 6749 section 4.4). `scope` must lie within what was registered; throws `forbidden`. */
export async function grantClientCredentials(
  core: IdentityCore,
  client: AuthenticatedClient,
  scope: readonly string[] | undefined,
  caller: Caller,
): Promise<TokenSet> {
  if (scope?.some((name) => !client.scopes.includes(name)) === true) throw new AppError('forbidden');
  const opened = await core.db.transaction(async ({ sql }) => {
    const session = await openSession(core, sql, {
      tenantId: client.tenantId,
      kind: 'client',
      id: client.id,
      clientId: client.clientId,
      scopes: scope ?? null,
      caller,
    });
    await appendAudit(sql, {
      tenantId: client.tenantId,
      action: 'oauth.token',
      principal: `client:${client.id}`,
      success: true,
      ip: caller.ip,
      requestId: caller.requestId,
      details: { session: session.sessionId, ...(scope === undefined ? {} : { scope }) },
    });
    return session;
  });
  return mint(core, opened);
}

async function auditRefusal(
  core: IdentityCore,
  row: ClientRow | undefined,
  code: string,
  caller: Caller,
): Promise<void> {
  await appendAudit(core.db.sql, {
    tenantId: row?.tenant_id ?? 1,
    action: 'oauth.client_authentication',
    principal: row === undefined ? null : `client:${row.id}`,
    success: false,
    code,
    ip: caller.ip,
    requestId: caller.requestId,
  });
}
