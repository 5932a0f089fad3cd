import Router from '@koa/router';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { acceptInvitation, lookAtInvitation } from '../auth/invitation-accept.ts';
import { createInvitation, listInvitations, withdrawInvitation } from '../auth/invitations.ts';
import { email, grant, roleName, username } from '../auth/names.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const invitation = z.strictObject({
  email,
  role: roleName.default('member'),
  partitions: z.array(grant).max(1_000).default([]),
  tenantId: z.int().positive().optional(),
});
const token = z.string().max(200);
const look = z.strictObject({ token });
// strict: role and tenant are what the invitation says (S54)
const acceptance = z.strictObject({ token, username, password: z.string().min(1).max(1_024) });

/** Invitations: made by administrators, accepted by who reads the mail. */
export function invitationRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { identity, limits } = deps;
  const { core } = identity;
  const router = new Router();
  const admin = requireAuth(deps, { scope: 'admin' });
  router.post(
    '/api/v1/admin/invitations',
    requireAuth(deps, { scope: 'admin', tenantInBody: true }),
    requireFreshOfPeople(identity),
    withBody(invitation, async (ctx, { email, role, partitions }) => {
      const settings = { email, role, partitions };
      const made = await createInvitation(core, principalOf(ctx), settings, callerOf(ctx));
      ctx.status = 201;
      ctx.body = { success: true, invitation: made };
    }),
  );
  router.get('/api/v1/admin/invitations', admin, async (ctx) => {
    ctx.body = { success: true, invitations: await listInvitations(core, principalOf(ctx).tenantId) };
  });
  router.delete('/api/v1/admin/invitations/:id', admin, async (ctx) => {
    const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
    await withdrawInvitation(core, principalOf(ctx), id, callerOf(ctx));
    ctx.body = { success: true, message: 'The invitation is withdrawn.' };
  });
  router.post(
    '/api/invitations/look',
    limits.anonymous,
    withBody(look, async (ctx, input) => {
      ctx.set('Cache-Control', 'no-store');
      const { tenantId, ...shown } = await lookAtInvitation(core, input.token, callerOf(ctx));
      ctx.body = { success: true, ...shown, tenant_id: tenantId };
    }),
  );
  router.post(
    '/api/invitations/accept',
    limits.anonymous,
    withBody(acceptance, async (ctx, input) => {
      const { userId, tenantId } = await acceptInvitation(core, input, callerOf(ctx));
      ctx.status = 201;
      ctx.body = {
        success: true,
        message: 'Welcome: log in.',
        user_id: userId,
        username: input.username,
        tenant_id: tenantId,
      };
    }),
  );
  return router;
}
