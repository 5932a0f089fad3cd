import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import { prepare } from '../db.ts';
import type { Sql } from '../db.ts';
import { GroupQueue } from '../group-queue.ts';
import { checkAssertion } from './client-assertions.ts';
import type { ClientKeys } from './client-keys.ts';
import type { Clock } from './clock.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createAddressCheck } from './ip-allow-list.ts';
import { findTenantOf, sameDigest, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import { mint, prepareSession } from './sessions.ts';
import type { TokenSet } from './sessions.ts';

/** How a client says who it is, and what it proves it with. */
export type ClientCredentials =
  | { method: 'client_secret_basic' | 'client_secret_post'; clientId: string; secret: string }
  | { method: 'private_key_jwt'; clientId: string; assertion: string };

export type AuthMethod = ClientCredentials['method'];

/** An OAuth client that has proved its secret or its key. */
export interface AuthenticatedClient {
  tenantId: number;
  id: string;
  clientId: string;
  scopes: string[];
  ratePerMinute: number | null;
  /** It gets tokens only that are bound to a key (RFC 9449). */
  dpopBound: boolean;
}

export interface ClientRow {
  tenant_id: number;
  id: string;
  scopes: string[];
  ip_allow_list: string[];
  rate_per_minute: number | null;
  disabled: boolean;
  auth_method: AuthMethod | null;
  jwks: ClientKeys | null;
  dpop_bound: boolean;
  hashes: Buffer[] | null;
}

const FIND = prepare(
  'clients-by-id',
  `
  SELECT asked.position, c.tenant_id, c.id, c.scopes, c.ip_allow_list, c.rate_per_minute, c.disabled_at IS NOT NULL AS disabled,
         c.auth_method, c.jwks, c.dpop_bound,
         (SELECT array_agg(s.hash) FROM client_secrets s
          WHERE s.tenant_id = c.tenant_id AND s.oauth_client_id = c.id
            AND (s.expires_at IS NULL OR s.expires_at > $3)) AS hashes
  FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS asked (tenant_id, client_id, position)
  JOIN oauth_clients c ON c.tenant_id = asked.tenant_id AND c.client_id = asked.client_id`,
);

/** Looks up clients that are asked for at the same time together: they share a round trip. */
export type ClientLookUps = GroupQueue<string, ClientRow | undefined>;

export function createClientLookUps(sql: Sql, clock: Clock): ClientLookUps {
  return new GroupQueue<string, ClientRow | undefined>(async (clientIds) => {
    const rows = await sql<ClientRow & { position: number }>(FIND, [
      clientIds.map((clientId) => findTenantOf('slc', clientId) ?? 0),
      clientIds,
      new Date(clock()),
    ]);
    const found = new Map(rows.map((row) => [row.position, row]));
    return clientIds.map((_, i) => found.get(i + 1));
  });
}

const NOTHING = Buffer.alloc(32);

/**
 * Checks a client's secret or assertion. An unknown client costs the same look-up, comparison and audit row as a wrong secret,
 * and gets the same refusal (S43). `isOver`: a refusal leaves no row (see `Guess.attempt`). Throws `invalid_credentials`; `forbidden` when only its address is not allowed (S47).
 */
export async function authenticateClient(
  core: IdentityCore,
  credentials: ClientCredentials,
  caller: Caller,
  isOver = false,
): Promise<AuthenticatedClient> {
  const { clientId, method } = credentials;
  const row = await core.clientLookUps.submit(clientId, clientId.length);
  const fault = await findFault(core, row, credentials);
  if (row === undefined || fault !== undefined || row.disabled || !isRegistered(row, method)) {
    if (!isOver) await auditRefusal(core, row, { code: 'invalid_credentials', method, fault }, caller);
    throw new AppError('invalid_credentials');
  }
  if (!createAddressCheck(row.ip_allow_list)(caller.ip)) {
    await auditRefusal(core, row, { code: 'forbidden', method }, caller);
    throw new AppError('forbidden', { message: 'This client may not be used from your address.' });
  }
  return {
    tenantId: row.tenant_id,
    id: row.id,
    clientId,
    scopes: row.scopes,
    ratePerMinute: row.rate_per_minute,
    dpopBound: row.dpop_bound,
  };
}

/** What is wrong with the proof; undefined: nothing. */
async function findFault(
  core: IdentityCore,
  row: ClientRow | undefined,
  credentials: ClientCredentials,
): Promise<string | undefined> {
  if (credentials.method === 'private_key_jwt') {
    const { clientId, assertion } = credentials;
    const client = { tenantId: row?.tenant_id ?? 1, clientId, keys: row?.jwks ?? null };
    return checkAssertion(core, client, assertion);
  }
  const given = sha256(credentials.secret);
  const matches = (row?.hashes ?? [NOTHING]).map((hash) => sameDigest(hash, given)).includes(true);
  return matches ? undefined : 'secret';
}

/** A client has one method; one that has registered none may send its secret either way. */
function isRegistered(row: ClientRow, method: AuthMethod): boolean {
  return row.auth_method === null ? method !== 'private_key_jwt' : row.auth_method === method;
}

/**
 * The client_credentials grant (RFC 6749 section 4.4). `scope` must lie within what was registered; throws `forbidden`;
 * `invalid_credentials` when the client was disabled meanwhile.
 */
export async function grantClientCredentials(
  core: IdentityCore,
  client: AuthenticatedClient,
  { scope, dpopJkt }: { scope: readonly string[] | undefined; dpopJkt?: string | undefined },
  caller: Caller,
): Promise<TokenSet> {
  const { tenantId, id, clientId } = client;
  if (scope?.some((name) => !client.scopes.includes(name)) === true) {
    noteGrantRefusal(core, client, { code: 'forbidden', details: { scope } }, caller);
    throw new AppError('forbidden');
  }
  await core.addressRules.requireAllowed(tenantId, caller);
  const session = prepareSession(core, client);
  const request = {
    tenantId,
    kind: 'client',
    id,
    clientId,
    scopes: scope ?? null,
    amr: [],
    dpopJkt,
    caller,
  } as const;
  const event = {
    tenantId,
    action: 'oauth.token',
    principal: `client:${id}`,
    success: true,
    ip: caller.ip,
    requestId: caller.requestId,
    details: { session: session.sessionId, ...(scope === undefined ? {} : { scope }) },
  };
  if (!(await core.clientSessions.submit({ request, session, event }, 1)))
    throw new AppError('invalid_credentials');
  const scopes = new Set(client.scopes.filter((name) => scope === undefined || scope.includes(name)));
  const state = {
    id,
    clientId,
    scopes,
    roles: ['service'],
    expiresAt: session.expiresAt,
    dpopJkt: dpopJkt ?? null,
  };
  return mint(core, session, { state });
}

/** Notes that a client, or whoever has none, was refused a token for what else it sent (S61). */
export function noteGrantRefusal(
  core: IdentityCore,
  client: Pick<AuthenticatedClient, 'tenantId' | 'id'> | undefined,
  refusal: { code: string; details?: Record<string, unknown> },
  caller: Caller,
): void {
  core.refusals.note({
    ...refusal,
    tenantId: client?.tenantId ?? PEOPLE_TENANT,
    action: 'oauth.token',
    principal: client === undefined ? null : principalKey({ kind: 'client', id: client.id }),
    ip: caller.ip,
    requestId: caller.requestId,
  });
}

async function auditRefusal(
  core: IdentityCore,
  row: ClientRow | undefined,
  refusal: { code: string; method: AuthMethod; fault?: string | undefined },
  caller: Caller,
): Promise<void> {
  const { code, ...details } = refusal;
  await appendAudit(core.db.sql, {
    tenantId: row?.tenant_id ?? 1,
    action: 'oauth.client_authentication',
    principal: row === undefined ? null : `client:${row.id}`,
    success: false,
    code,
    ip: caller.ip,
    requestId: caller.requestId,
    details,
  });
}
