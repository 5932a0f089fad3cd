import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { cancelEmailChange, confirmEmailChange, requestEmailChange } from '../auth/email-change.ts';
import type { Identity } from '../auth/identity.ts';
import { altcha, email, text } from '../auth/names.ts';
import { changePassword, requestReset, resetPassword, toAddress } from '../auth/passwords-change.ts';
import type { Principal } from '../auth/principal.ts';
import { changeProfile, deactivate, requireProfile } from '../auth/profile.ts';
import { endOwnSession, endOwnSessions, listSessions } from '../auth/session-list.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFresh, requireOwnSession } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { REFRESH_COOKIE, writeRefreshCookie } from './web-session.ts';

interface AccountDeps {
  identity: Identity;
  limits: RateLimits;
}

// bounds the work before a password is looked at; the rule of 8 to 256 characters comes after (S31)
const password = z.string().min(1).max(1_024);
const code = z.string().regex(/^\d{6}$/, 'six digits');
const tenantId = z.int().positive().max(2_147_483_647).optional();

const forgotInput = z.strictObject({ email, tenant_id: tenantId, altcha });
const resetInput = z.strictObject({ email, code, password, tenant_id: tenantId });
const changeInput = z.strictObject({ current_password: password, new_password: password });
const profileInput = z.strictObject({
  display_name: text
    .trim()
    .max(100)
    .regex(/^\P{Cc}*$/u, 'text of one line')
    .transform((name) => (name === '' ? null : name))
    .nullable(),
});
const newEmailInput = z.strictObject({ new_email: email });
const confirmInput = z.strictObject({ old_code: code, new_code: code });
const nothing = z.strictObject({});

/** What people do with their own account: passwords, sessions, profile, address. */
export function accountRoutes(deps: AccountDeps): Router {
  const router = new Router();
  // none that was lent to a terminal or another OAuth client
  const person = [requireAuth(deps), requireOwnSession(deps.identity)];
  addPasswords(router, deps, person);
  addSessions(router, deps, person);
  addProfile(router, deps, person);
  addEmailChange(router, deps, person);
  return router;
}

function personOf(ctx: Context): Principal {
  ctx.set('Cache-Control', 'no-store');
  return principalOf(ctx);
}

function addPasswords(router: Router, { identity, limits }: AccountDeps, person: Middleware[]): void {
  const { core } = identity;
  router.post(
    '/api/password/forgot',
    limits.anonymous,
    withBody(forgotInput, async (ctx, input) => {
      const address = toAddress(input.email, input.tenant_id);
      await requestReset(core, { ...address, altcha: input.altcha }, callerOf(ctx));
      const message =
        'If there is an account with this address, a code is on its way. It is good for 10 minutes.';
      ctx.body = { success: true, message };
    }),
  );
  router.post(
    '/api/password/reset',
    limits.anonymous,
    withBody(resetInput, async (ctx, { tenant_id, ...reset }) => {
      await resetPassword(core, { ...reset, tenantId: tenant_id }, callerOf(ctx), showCounts(ctx));
      ctx.body = { success: true, message: 'The password is changed and every session has ended: log in.' };
    }),
  );
  router.post(
    '/api/password/change',
    ...person,
    withBody(changeInput, async (ctx, input) => {
      const passwords = { current: input.current_password, next: input.new_password };
      const from = { caller: callerOf(ctx), onCount: showCounts(ctx) };
      const ended = await changePassword(core, personOf(ctx), passwords, from);
      ctx.body = {
        success: true,
        message: 'The password is changed; your other sessions have ended.',
        ended,
      };
    }),
  );
}

function addSessions(router: Router, { identity }: AccountDeps, person: Middleware[]): void {
  const { core } = identity;
  router.get('/api/sessions', ...person, async (ctx) => {
    ctx.body = { success: true, sessions: await listSessions(core, personOf(ctx)) };
  });
  router.delete('/api/sessions/:id', ...person, async (ctx) => {
    const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
    await endOwnSession(core, personOf(ctx), id, callerOf(ctx));
    ctx.body = { success: true, message: 'The session has ended.' };
  });
  router.post(
    '/api/sessions/end-others',
    ...person,
    withBody(nothing, async (ctx) => {
      const ended = await endOwnSessions(core, personOf(ctx), 'others', callerOf(ctx));
      ctx.body = { success: true, message: 'Your other sessions have ended.', ended };
    }),
  );
  router.post(
    '/auth/logout-all',
    ...person,
    withBody(nothing, async (ctx) => {
      const ended = await endOwnSessions(core, personOf(ctx), 'all', callerOf(ctx));
      if (ctx.cookies.get(REFRESH_COOKIE) !== undefined) writeRefreshCookie(identity, ctx, undefined);
      ctx.body = { success: true, message: 'You are logged out everywhere.', ended };
    }),
  );
}

function addProfile(router: Router, { identity }: AccountDeps, person: Middleware[]): void {
  const { core } = identity;
  router.get('/api/profile', ...person, async (ctx) => {
    const { tenantId, id } = personOf(ctx);
    ctx.body = { success: true, profile: await requireProfile(core.db.sql, tenantId, id) };
  });
  router.patch(
    '/api/profile',
    ...person,
    withBody(profileInput, async (ctx, input) => {
      const changes = { displayName: input.display_name };
      const profile = await changeProfile(core, personOf(ctx), changes, callerOf(ctx));
      ctx.body = { success: true, profile };
    }),
  );
  router.post(
    '/api/account/deactivate',
    ...person,
    requireFresh(identity),
    withBody(nothing, async (ctx) => {
      await deactivate(core, personOf(ctx), callerOf(ctx));
      ctx.body = { success: true, message: 'Your account is closed. An administrator can bring it back.' };
    }),
  );
}

function addEmailChange(router: Router, { identity }: AccountDeps, person: Middleware[]): void {
  const { core } = identity;
  router.post(
    '/api/email-change',
    ...person,
    requireFresh(identity),
    withBody(newEmailInput, async (ctx, input) => {
      await requestEmailChange(core, personOf(ctx), input.new_email, callerOf(ctx));
      const message = 'A code is on its way to your present address, and another to the new one.';
      ctx.body = { success: true, message };
    }),
  );
  router.post(
    '/api/email-change/confirm',
    ...person,
    withBody(confirmInput, async (ctx, input) => {
      const codes = { oldCode: input.old_code, newCode: input.new_code };
      await confirmEmailChange(core, personOf(ctx), codes, callerOf(ctx));
      ctx.body = { success: true, message: 'Your address is changed; your other sessions have ended.' };
    }),
  );
  router.delete('/api/email-change', ...person, async (ctx) => {
    await cancelEmailChange(core, personOf(ctx), callerOf(ctx));
    ctx.body = { success: true, message: 'Your address stays as it is.' };
  });
}
