import { AppError } from '../../protocol/errors.ts';
import type { AuthenticatedClient } from './client-grants.ts';
import type { Identity } from './identity.ts';
import { findTenantOf, sha256 } from './opaque.ts';

/** What a token is worth now (RFC 7662). */
export type Introspection = { active: false } | ({ active: true } & Record<string, unknown>);

const INACTIVE: Introspection = { active: false };

/** A client asks about its own tokens; of any other it learns no more than of one that never was (S48). */
export async function introspect(
  identity: Pick<Identity, 'core' | 'inspect'>,
  client: AuthenticatedClient,
  token: string,
): Promise<Introspection> {
  return token.startsWith('srt_')
    ? introspectRefreshToken(identity, client, token)
    : introspectAccessToken(identity, client, token);
}

async function introspectAccessToken(
  { core, inspect }: Pick<Identity, 'core' | 'inspect'>,
  client: AuthenticatedClient,
  token: string,
): Promise<Introspection> {
  const found = await inspect(token).catch((error: unknown) => {
    if (error instanceof AppError && error.code !== 'unavailable') return undefined;
    throw error;
  });
  if (found === undefined) return INACTIVE;
  const { claims, state } = found;
  if (state.tenantId !== client.tenantId || state.kind !== 'client' || state.id !== client.id)
    return INACTIVE;
  const { tid, sid, sub, client_id, exp, iat, jti, cnf } = claims;
  return {
    active: true,
    // what it may do now, which may be less than it says
    scope: claims.scope
      .split(' ')
      .filter((name) => state.scopes.has(name))
      .join(' '),
    token_type: cnf === undefined ? 'Bearer' : 'DPoP',
    iss: core.issuer(),
    aud: core.tokens.audience,
    ...{ client_id, sub, exp, iat, jti, tid, sid },
    ...(cnf === undefined ? {} : { cnf }),
  };
}

async function introspectRefreshToken(
  { core }: Pick<Identity, 'core'>,
  client: AuthenticatedClient,
  token: string,
): Promise<Introspection> {
  if (findTenantOf('srt', token) !== client.tenantId) return INACTIVE;
  const now = new Date(core.clock());
  const [row] = await core.db.sql<{ id: string; created_at: Date; until: Date }>(
    `SELECT s.id, t.created_at, least(t.expires_at, s.expires_at) AS until
     FROM refresh_tokens t JOIN sessions s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
     WHERE t.tenant_id = $1 AND t.hash = $2 AND t.used_at IS NULL AND t.expires_at > $4
       AND s.client_id = $3 AND s.revoked_at IS NULL AND s.expires_at > $4`,
    [client.tenantId, sha256(token), client.clientId, now],
  );
  const state = row === undefined ? undefined : await core.states.load(client.tenantId, row.id);
  if (row === undefined || state?.usable !== true) return INACTIVE;
  return {
    active: true,
    scope: [...state.scopes].join(' '),
    client_id: client.clientId,
    sub: state.id,
    iss: core.issuer(),
    exp: Math.floor(row.until.getTime() / 1_000),
    iat: Math.floor(row.created_at.getTime() / 1_000),
    tid: client.tenantId,
    sid: row.id,
    ...(state.dpopJkt === null ? {} : { cnf: { jkt: state.dpopJkt } }),
  };
}
