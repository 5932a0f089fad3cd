import Router from '@koa/router';
import type { Middleware } from 'koa';
import { z } from 'zod';
import type { IdentityCore } from '../auth/core.ts';
import type { Identity } from '../auth/identity.ts';
import { addressBlock, grant, scope, text } from '../auth/names.ts';
import {
  changeClient,
  listClients,
  registerClient,
  removeSecret,
  rotateSecret,
} from '../auth/oauth-clients.ts';
import type { ClientView } from '../auth/oauth-clients.ts';
import { createTenant } from '../auth/tenants.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const name = text.trim().min(1).max(100);
const scopes = z.array(scope).max(100);
const partitions = z.array(grant).max(1_000);
const ipAllowList = z.array(addressBlock).max(1_000);
const ratePerMinute = z.int().positive().max(1_000_000).nullable();
const tenantId = z.int().positive();

const registration = z.strictObject({
  name,
  tenantId: tenantId.optional(),
  scopes: scopes.default(['sync:read', 'sync:write', 'config:read']),
  partitions: partitions.default([]),
  ipAllowList: ipAllowList.default([]),
  ratePerMinute: ratePerMinute.default(null),
});
const changes = z.strictObject({
  name: name.optional(),
  scopes: scopes.optional(),
  partitions: partitions.optional(),
  ipAllowList: ipAllowList.optional(),
  ratePerMinute: ratePerMinute.optional(),
  disabled: z.boolean().optional(),
});
const DAY_SECONDS = 86_400;
const rotation = z.strictObject({
  overlapSeconds: z
    .int()
    .min(0)
    .max(90 * DAY_SECONDS)
    .default(DAY_SECONDS),
});
const tenant = z.strictObject({ name });
const id = z.uuid();

/** Registration and care of OAuth clients, and of tenants. Admin key, or a bearer with scope admin in its own tenant. */
export function adminClientRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router({ prefix: '/api/v1/admin' });
  const admin = requireAuth(deps, { scope: 'admin' });
  const adminOfNamedTenant = requireAuth(deps, { scope: 'admin', tenantInBody: true });

  router.post(
    '/oauth-clients',
    adminOfNamedTenant,
    withBody(registration, async (ctx, input) => {
      const { name, scopes, partitions, ipAllowList, ratePerMinute } = input;
      const settings = { name, scopes, partitions, ipAllowList, ratePerMinute };
      const made = await registerClient(core, principalOf(ctx), settings, callerOf(ctx));
      ctx.status = 201;
      ctx.set('Cache-Control', 'no-store');
      ctx.body = {
        success: true,
        client_id: made.client.clientId,
        client_secret: made.clientSecret,
        secretId: made.secretId,
        client: toWire(made.client),
      };
    }),
  );
  router.get('/oauth-clients', admin, async (ctx) => {
    ctx.body = { success: true, clients: (await listClients(core, principalOf(ctx).tenantId)).map(toWire) };
  });
  router.patch(
    '/oauth-clients/:id',
    admin,
    withBody(changes, async (ctx, input) => {
      const change = { id: parseInput(id, paramOf(ctx, 'id')), changes: input };
      const client = await changeClient(core, principalOf(ctx), change, callerOf(ctx));
      ctx.body = { success: true, client: toWire(client) };
    }),
  );
  router.post(
    '/tenants',
    admin,
    withBody(tenant, async (ctx, input) => {
      const made = await createTenant(core, principalOf(ctx), input.name, callerOf(ctx));
      ctx.status = 201;
      ctx.body = { success: true, tenant: { id: made.id, name: made.name } };
    }),
  );
  addSecrets(router, core, admin);
  return router;
}

function addSecrets(router: Router, core: IdentityCore, admin: Middleware): void {
  router.post(
    '/oauth-clients/:id/secrets',
    admin,
    withBody(rotation, async (ctx, input) => {
      const change = { id: parseInput(id, paramOf(ctx, 'id')), ...input };
      const secret = await rotateSecret(core, principalOf(ctx), change, callerOf(ctx));
      ctx.status = 201;
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { success: true, secretId: secret.secretId, client_secret: secret.clientSecret };
    }),
  );
  router.delete('/oauth-clients/:id/secrets/:secretId', admin, async (ctx) => {
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
    disabled: client.disabled,
    createdAt: client.createdAt,
    secrets: client.secrets.map((secret) => ({
      id: secret.id,
      createdAt: secret.createdAt,
      expiresAt: secret.expiresAt,
    })),
  };
}
