import Router from '@koa/router';
import { z } from 'zod';
import { changeRole, createRole, deleteRole, listRoles } from '../auth/custom-roles.ts';
import type { Identity } from '../auth/identity.ts';
import { roleName, scope } from '../auth/names.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { FRESH_MS, requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const scopes = z
  .array(scope)
  .max(100)
  // they go into each token, and a token has its bounds
  .refine((names) => names.join(' ').length <= 2_000, 'together at most 2000 characters')
  .transform((names) => [...new Set(names)]);
const rateLimit = z.int().positive().max(1_000_000).nullable().optional();
const role = z.strictObject({
  name: roleName,
  scopes,
  rateLimit,
  tenantId: z.int().positive().optional(),
});
const changes = z.strictObject({ scopes, rateLimit });

/** Roles of a tenant, and what the caller may do. */
export function roleRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router();
  const admin = requireAuth(deps, { scope: 'admin' });
  const fresh = requireFreshOfPeople(deps.identity);
  router.get('/auth/permissions', requireAuth(deps), async (ctx) => {
    const principal = principalOf(ctx);
    const { tenantId, sessionId, scopes, grants } = principal;
    const state = principal.kind === 'api_key' ? undefined : await core.states.load(tenantId, sessionId);
    const provedAt = principal.kind === 'user' ? state?.authenticatedAt : undefined;
    ctx.set('Cache-Control', 'no-store');
    ctx.body = {
      success: true,
      role: state?.roles[0] ?? 'service',
      permissions: [...scopes],
      partitions: { read: [...grants.read], write: [...grants.write] },
      fresh_until: provedAt === undefined ? null : new Date(provedAt + FRESH_MS).toISOString(),
    };
  });
  router.get('/api/v1/admin/roles', admin, async (ctx) => {
    ctx.body = { success: true, roles: await listRoles(core, principalOf(ctx).tenantId) };
  });
  router.post(
    '/api/v1/admin/roles',
    requireAuth(deps, { scope: 'admin', tenantInBody: true }),
    fresh,
    withBody(role, async (ctx, { name, scopes, rateLimit }) => {
      const made = await createRole(core, principalOf(ctx), { name, scopes, rateLimit }, callerOf(ctx));
      ctx.status = 201;
      ctx.body = { success: true, role: made };
    }),
  );
  router.put(
    '/api/v1/admin/roles/:name',
    admin,
    fresh,
    withBody(changes, async (ctx, input) => {
      const settings = { name: parseInput(roleName, paramOf(ctx, 'name')), ...input };
      ctx.body = {
        success: true,
        role: await changeRole(core, principalOf(ctx), settings, callerOf(ctx)),
      };
    }),
  );
  router.delete('/api/v1/admin/roles/:name', admin, fresh, async (ctx) => {
    await deleteRole(core, principalOf(ctx), parseInput(roleName, paramOf(ctx, 'name')), callerOf(ctx));
    ctx.body = { success: true, message: 'The role is gone.' };
  });
  return router;
}
