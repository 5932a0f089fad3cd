import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { clientKeys } from '../auth/client-keys.ts';
import type { IdentityCore } from '../auth/core.ts';
import type { Identity } from '../auth/identity.ts';
import { addressBlock, grant, scope, text } from '../auth/names.ts';
import {
  changeClient,
  listClients,
  registerClient,
  registerKeyClient,
  removeSecret,
  rotateSecret,
} from '../auth/oauth-clients.ts';
import type { ClientView } from '../auth/oauth-clients.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const name = text.trim().min(1).max(100);
/** They go into each token, and a token has its bounds (MAX_TOKEN_LENGTH). */
const SCOPES_LENGTH = 2_000;
const scopes = z
  .array(scope)
  .max(100)
  .refine((names) => names.join(' ').length <= SCOPES_LENGTH, `together at most ${SCOPES_LENGTH} characters`);
const partitions = z.array(grant).max(1_000);
const ipAllowList = z.array(addressBlock).max(1_000);
const ratePerMinute = z.int().positive().max(1_000_000).nullable();
const tenantId = z.int().positive();
// the names of RFC 7591 and RFC 9449, for they are OAuth's own; there is no jwks_uri, for nothing is fetched (S68)
const authMethod = z.enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt']).nullable();
const jwks = clientKeys.nullable();

const registration = z.strictObject({
  name,
  tenantId: tenantId.optional(),
  scopes: scopes.default(['sync:read', 'sync:write', 'config:read']),
  partitions: partitions.default([]),
  ipAllowList: ipAllowList.default([]),
  ratePerMinute: ratePerMinute.default(null),
  token_endpoint_auth_method: authMethod.default(null),
  jwks: jwks.default(null),
  dpop_bound_access_tokens: z.boolean().default(false),
});
const changes = z.strictObject({
  name: name.optional(),
  scopes: scopes.optional(),
  partitions: partitions.optional(),
  ipAllowList: ipAllowList.optional(),
  ratePerMinute: ratePerMinute.optional(),
  disabled: z.boolean().optional(),
  token_endpoint_auth_method: authMethod.optional(),
  jwks: jwks.optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
});
const DAY_SECONDS = 86_400;
const rotation = z.strictObject({
  overlapSeconds: z
    .int()
    .min(0)
    .max(90 * DAY_SECONDS)
    .default(DAY_SECONDS),
});
const id = z.uuid();

/** Registration and care of OAuth clients. Admin key, or a bearer with scope admin in its own tenant. */
export function adminClientRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router({ prefix: '/api/v1/admin' });
  const admin = requireAuth(deps, { scope: 'admin' });
  const adminOfNamedTenant = requireAuth(deps, { scope: 'admin', tenantInBody: true });
  const fresh = requireFreshOfPeople(deps.identity);

  router.post(
    '/oauth-clients',
    adminOfNamedTenant,
    fresh,
    withBody(registration, async (ctx, input) => {
      ctx.body = { success: true, ...(await register(core, ctx, input)) };
      ctx.status = 201;
      ctx.set('Cache-Control', 'no-store');
    }),
  );
  router.get('/oauth-clients', admin, async (ctx) => {
    ctx.body = { success: true, clients: (await listClients(core, principalOf(ctx).tenantId)).map(toWire) };
  });
  router.patch(
    '/oauth-clients/:id',
    admin,
    fresh,
    withBody(changes, async (ctx, input) => {
      const {
        token_endpoint_auth_method: authMethod,
        dpop_bound_access_tokens: dpopBound,
        ...others
      } = input;
      const changes = {
        ...others,
        ...(authMethod === undefined ? {} : { authMethod }),
        ...(dpopBound === undefined ? {} : { dpopBound }),
      };
      const change = { id: parseInput(id, paramOf(ctx, 'id')), changes };
      const client = await changeClient(core, principalOf(ctx), change, callerOf(ctx));
      ctx.body = { success: true, client: toWire(client) };
    }),
  );
  addSecrets(router, core, [admin, fresh]);
  return router;
}

/** Registers, and says what is shown this once. */
async function register(
  core: IdentityCore,
  ctx: Context,
  input: z.output<typeof registration>,
): Promise<Record<string, unknown>> {
  const { name, scopes, partitions, ipAllowList, ratePerMinute, jwks } = input;
  const { token_endpoint_auth_method: authMethod, dpop_bound_access_tokens: dpopBound } = input;
  const settings = { name, scopes, partitions, ipAllowList, ratePerMinute, authMethod, jwks, dpopBound };
  if (authMethod === 'private_key_jwt') {
    const client = await registerKeyClient(core, principalOf(ctx), settings, callerOf(ctx));
    return { client_id: client.clientId, client: toWire(client) };
  }
  const { client, clientSecret, secretId } = await registerClient(
    core,
    principalOf(ctx),
    settings,
    callerOf(ctx),
  );
  return { client_id: client.clientId, client_secret: clientSecret, secretId, client: toWire(client) };
}

function addSecrets(router: Router, core: IdentityCore, admin: Middleware[]): void {
  router.post(
    '/oauth-clients/:id/secrets',
    ...admin,
    withBody(rotation, async (ctx, input) => {
      const change = { id: parseInput(id, paramOf(ctx, 'id')), ...input };
      const secret = await rotateSecret(core, principalOf(ctx), change, callerOf(ctx));
      ctx.status = 201;
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { success: true, secretId: secret.secretId, client_secret: secret.clientSecret };
    }),
  );
  router.delete('/oauth-clients/:id/secrets/:secretId', ...admin, async (ctx) => {
    const secret = parseInput(z.object({ id, secretId: id }), {
      id: paramOf(ctx, 'id'),
      secretId: paramOf(ctx, 'secretId'),
    });
    await removeSecret(core, principalOf(ctx), secret, callerOf(ctx));
    ctx.body = { success: true };
  });
}

function toWire(client: ClientView): Record<string, unknown> {
  return {
    id: client.id,
    client_id: client.clientId,
    tenantId: client.tenantId,
    name: client.name,
    scopes: client.scopes,
    partitions: client.partitions,
    ipAllowList: client.ipAllowList,
    ratePerMinute: client.ratePerMinute,
    token_endpoint_auth_method: client.authMethod,
    jwks: client.jwks,
    dpop_bound_access_tokens: client.dpopBound,
    disabled: client.disabled,
    createdAt: client.createdAt,
    secrets: client.secrets.map((secret) => ({
      id: secret.id,
      createdAt: secret.createdAt,
      expiresAt: secret.expiresAt,
    })),
  };
}
