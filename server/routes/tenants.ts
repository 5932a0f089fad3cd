import Router from '@koa/router';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { text } from '../auth/names.ts';
import { createTenant, listTenants, renameTenant } from '../auth/tenants.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const tenant = z.strictObject({ name: text.trim().min(1).max(100) });
const id = z.coerce.number().int().positive().max(2_147_483_647);

/** Organisations: made with the admin key; named by it, or by their own administrators. */
export function tenantRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router({ prefix: '/api/v1/admin/tenants' });
  const admin = requireAuth(deps, { scope: 'admin' });
  router.post(
    '/',
    admin,
    withBody(tenant, async (ctx, input) => {
      const made = await createTenant(core, principalOf(ctx), input.name, callerOf(ctx));
      ctx.status = 201;
      ctx.body = { success: true, tenant: made };
    }),
  );
  router.get('/', admin, async (ctx) => {
    ctx.body = { success: true, tenants: await listTenants(core, principalOf(ctx)) };
  });
  router.patch(
    '/:id',
    admin,
    requireFreshOfPeople(deps.identity),
    withBody(tenant, async (ctx, { name }) => {
      const change = { id: parseInput(id, paramOf(ctx, 'id')), name };
      ctx.body = {
        success: true,
        tenant: await renameTenant(core, principalOf(ctx), change, callerOf(ctx)),
      };
    }),
  );
  return router;
}
