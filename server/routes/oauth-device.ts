import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import {
  CODE_LIFE_MS,
  POLL_SECONDS,
  TERMINAL,
  decideDevice,
  findDeviceRequest,
  requestDevice,
} from '../auth/device-flow.ts';
import type { Identity } from '../auth/identity.ts';
import { isStorable } from '../auth/names.ts';
import { SCOPE_PATTERN } from '../auth/roles.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFresh } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { findClientCredentials } from './oauth-credentials.ts';
import { OAuthError, answerInOAuthForm, parseForm, parseScope } from './oauth-form.ts';
import type { Form } from './oauth-form.ts';

const MAX_SCOPES = 50;
const userCode = z.string().min(1).max(40);
const decision = z.strictObject({ user_code: userCode, approve: z.boolean() });

/** The device flow (RFC 8628): a terminal asks, a person who is logged in decides. */
export function terminalRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const { identity, limits } = deps;
  const router = new Router();
  const person = requireAuth(deps);
  const fresh = requireFresh(identity);
  router.post('/oauth/device_authorization', answerInOAuthForm(), limits.anonymous, (ctx) =>
    authorize(identity, ctx),
  );
  router.get(
    '/api/device/:user_code',
    async (ctx, next) => {
      // the code is in the path: the access log is not to have it
      ctx.state['loggedPath'] = '/api/device/:user_code';
      ctx.set('Cache-Control', 'no-store');
      await next();
    },
    person,
    async (ctx) => {
      const typed = parseInput(userCode, paramOf(ctx, 'user_code'));
      const found = await findDeviceRequest(identity.core, principalOf(ctx), typed, callerOf(ctx));
      const { client, scopes, ip, createdAt } = found;
      ctx.body = { success: true, client, scopes, ip, created_at: createdAt };
    },
  );
  router.post(
    '/api/device/decide',
    person,
    withBody(decision, async (ctx, { user_code: code, approve }) => {
      // a stolen access token is not to become a session of thirty days
      if (approve) await fresh(ctx, () => Promise.resolve());
      await decideDevice(identity.core, principalOf(ctx), { userCode: code, approve }, callerOf(ctx));
      const message = approve ? 'The terminal is logged in now.' : 'The terminal was refused.';
      ctx.body = { success: true, message };
    }),
  );
  return router;
}

async function authorize(identity: Identity, ctx: Context): Promise<void> {
  const form = parseForm(ctx);
  if (findClientCredentials(ctx, form).method !== 'none') {
    throw new OAuthError('unauthorized_client', 'this is for terminals');
  }
  const scopes = parseScope(form.get('scope'));
  if (scopes !== undefined && !areScopes(scopes)) {
    throw new OAuthError('invalid_scope', 'there is no such scope');
  }
  const caller = callerOf(ctx);
  const codes = await requestDevice(identity.core, scopes, caller);
  announce(identity, form, { userCode: codes.userCode, scopes }, caller);
  const page = `${identity.core.issuer().replace(/\/$/, '')}/device`;
  ctx.body = {
    device_code: codes.deviceCode,
    user_code: codes.userCode,
    verification_uri: page,
    // behind the #, so that it is sent to no server and stands in no log
    verification_uri_complete: `${page}#${codes.userCode}`,
    expires_in: CODE_LIFE_MS / 1_000,
    interval: POLL_SECONDS,
  };
}

function areScopes(names: readonly string[]): boolean {
  return names.length <= MAX_SCOPES && names.every((name) => SCOPE_PATTERN.test(name));
}

/** Not waited for: the answer and its time are the same whether somebody of that name is there or not. */
function announce(
  { core, deviceRequests }: Identity,
  form: Form,
  request: { userCode: string; scopes: string[] | undefined },
  caller: ReturnType<typeof callerOf>,
): void {
  const username = form.get('login_hint');
  if (username === undefined || username.length > 256 || !isStorable(username)) return;
  deviceRequests.announce({ ...request, username }, caller).catch((error: unknown) => {
    core.log.warn({ err: error }, `the pages of ${TERMINAL.name} could not be told`);
  });
}
