import Router from '@koa/router';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { addIpRule, deleteIpRule, listIpRules } from '../auth/ip-rules.ts';
import { addressBlock, text } from '../auth/names.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const rule = z.strictObject({
  cidr: addressBlock,
  action: z.enum(['allow', 'deny']),
  note: text.trim().min(1).max(200).optional(),
  force: z.boolean().optional(),
  tenantId: z.int().positive().optional(),
});
const removal = z.strictObject({ force: z.boolean().optional() });

/** Addresses that a tenant lets in, and those it keeps out. */
export function ipRuleRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router({ prefix: '/api/v1/admin/ip-rules' });
  const admin = requireAuth(deps, { scope: 'admin' });
  const fresh = requireFreshOfPeople(deps.identity);
  router.get('/', admin, async (ctx) => {
    ctx.body = { success: true, rules: await listIpRules(core, principalOf(ctx).tenantId) };
  });
  router.post(
    '/',
    requireAuth(deps, { scope: 'admin', tenantInBody: true }),
    fresh,
    withBody(rule, async (ctx, { tenantId: _named, ...input }) => {
      ctx.status = 201;
      ctx.body = { success: true, rule: await addIpRule(core, principalOf(ctx), input, callerOf(ctx)) };
    }),
  );
  router.delete(
    '/:id',
    admin,
    fresh,
    withBody(removal, async (ctx, { force }) => {
      const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
      await deleteIpRule(core, principalOf(ctx), { id, force }, callerOf(ctx));
      ctx.body = { success: true, message: 'The rule is gone.' };
    }),
  );
  return router;
}
