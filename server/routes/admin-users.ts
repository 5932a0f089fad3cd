import Router from '@koa/router';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { grant, roleName } from '../auth/names.ts';
import { removeSecondFactors } from '../auth/second-factor-removal.ts';
import { changeUser, listUsers } from '../auth/user-admin.ts';
import type { UserView } from '../auth/user-admin.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople, requireFreshProof } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody, withQuery } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const page = z.object({
  after: z.uuid().optional(),
  limit: z.coerce.number().int().min(1).max(200).default(100),
});
const changes = z.strictObject({
  role: roleName.optional(),
  partitions: z.array(grant).max(1_000).optional(),
  disabled: z.boolean().optional(),
});

/** People of the caller's tenant: listed, promoted, granted partitions, disabled, helped out of a lost second factor. */
export function adminUserRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { core } = deps.identity;
  const router = new Router({ prefix: '/api/v1/admin' });
  const admin = requireAuth(deps, { scope: 'admin' });

  router.get(
    '/users',
    admin,
    withQuery(page, async (ctx, input) => {
      const users = await listUsers(core, principalOf(ctx).tenantId, input);
      const next = users.length === input.limit ? (users.at(-1)?.id ?? null) : null;
      ctx.body = { success: true, users: users.map(toWire), next };
    }),
  );
  router.patch(
    '/users/:id',
    admin,
    requireFreshOfPeople(deps.identity),
    withBody(changes, async (ctx, input) => {
      const change = { id: parseInput(z.uuid(), paramOf(ctx, 'id')), changes: input };
      ctx.body = {
        success: true,
        user: toWire(await changeUser(core, principalOf(ctx), change, callerOf(ctx))),
      };
    }),
  );
  router.delete('/users/:id/second-factors', admin, requireFreshProof(deps.identity), async (ctx) => {
    const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
    const { ended, ...removed } = await removeSecondFactors(core, principalOf(ctx), id, callerOf(ctx));
    const message = 'The second factor is off; the person was logged out and told by mail.';
    ctx.body = { success: true, message, removed, ended };
  });
  return router;
}

function toWire(user: UserView): UserView {
  const { id, username, displayName, email, role, partitions, verified, disabled, createdAt } = user;
  return { id, username, displayName, email, role, partitions, verified, disabled, createdAt };
}
