import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import { createFirstCheck, requestResend, signUp, verifyEmail } from '../auth/accounts.ts';
import type { Identity } from '../auth/identity.ts';
import { logInGuarded } from '../auth/login.ts';
import type { LoggedIn } from '../auth/login.ts';
import { altcha, email, keyOf, text, username } from '../auth/names.ts';
import { principalKey } from '../auth/principal.ts';
import { refresh } from '../auth/refresh.ts';
import { logOut, revokeByRefreshToken } from '../auth/revoke.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { callerOf, withBody } from '../middleware/input.ts';
import { authenticateToken, findAccessToken } from '../middleware/possession.ts';
import type { PresentedToken } from '../middleware/possession.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import {
  answerTokens,
  findRefreshCookie,
  isWebRequest,
  REFRESH_COOKIE,
  writeRefreshCookie,
} from './web-session.ts';

interface PeopleDeps {
  identity: Identity;
  limits: RateLimits;
}

// bounds the work before a password is looked at; the rule of 8 to 256 characters comes after (S31)
const password = z.string().min(1).max(1_024);
const app = text.max(100).optional();
/** Where the account lives; left out: where people sign up. */
const tenantId = z.int().positive().max(2_147_483_647).optional();

// strict: a field that is ignored here could be taken for a right that was granted (S54)
const signUpInput = z.strictObject({ username, email, password, altcha });
const verifyInput = z
  .object({
    email: text.max(254).optional(),
    username: text.max(256).optional(),
    code: z.string().regex(/^\d{6}$/, 'six digits'),
  })
  .refine((input) => (input.email === undefined) !== (input.username === undefined), 'email or username');
const resendInput = z.object({ email });
const loginInput = z
  .object({
    username: text.min(1).max(256).optional(),
    email: text.min(1).max(254).optional(),
    password,
    app,
    tenant_id: tenantId,
    altcha,
  })
  .refine((input) => (input.email === undefined) !== (input.username === undefined), 'email or username');
const refreshInput = z.object({ refresh_token: z.string().max(200).optional() });

/** Sign-up, verification, login, refresh, logout, who am I (CONTRACT, "People"). */
export function peopleRoutes(deps: PeopleDeps): Router {
  const router = new Router();
  addSignUp(router, deps);
  addSessions(router, deps);
  return router;
}

function addSignUp(router: Router, { identity, limits }: PeopleDeps): void {
  const { core } = identity;
  const anyone = limits.anonymous;
  const isFirst = createFirstCheck(core);
  router.get('/api/signup', anyone, async (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { success: true, first: await isFirst() };
  });
  router.post(
    '/api/signup',
    limits.signup,
    withBody(signUpInput, async (ctx, input) => {
      const userId = await signUp(core, input, callerOf(ctx));
      ctx.status = 201;
      ctx.body = { success: true, message: 'Look into your mail for a code of six digits.', user_id: userId };
    }),
  );
  router.post(
    '/api/verify-email',
    anyone,
    withBody(verifyInput, async (ctx, input) => {
      const account = `verify ${keyOf(input.email ?? input.username ?? '')}`;
      const caller = callerOf(ctx);
      const attempt = (): Promise<void> => verifyEmail(core, input, caller);
      await core.guesses.guard({ account, ip: caller.ip, attempt, onCount: showCounts(ctx) });
      ctx.body = { success: true, message: 'The address is verified: log in.' };
    }),
  );
  router.post(
    '/api/resend-verification',
    anyone,
    withBody(resendInput, async (ctx, input) => {
      await requestResend(core, input.email, callerOf(ctx));
      ctx.body = {
        success: true,
        message: 'If a sign-up is waiting for this address, a new code is on its way.',
      };
    }),
  );
}

function addSessions(router: Router, deps: PeopleDeps): void {
  const { identity, limits } = deps;
  const anyone = limits.anonymous;
  router.post(
    '/api/login',
    anyone,
    withBody(loginInput, async (ctx, input) => {
      await login(deps, ctx, input);
    }),
  );
  router.post(
    '/auth/login',
    anyone,
    withBody(loginInput, async (ctx, input) => {
      const { tokens } = await login(deps, ctx, input);
      ctx.body = { ...(ctx.body as object), token: tokens.accessToken };
    }),
  );
  router.post(
    '/auth/refresh',
    anyone,
    withBody(refreshInput, (ctx, input) => refreshTokens(deps, ctx, input)),
  );
  router.post(
    '/auth/logout',
    withBody(refreshInput, (ctx, input) => leave(deps, ctx, input)),
  );
  router.get('/auth/me', requireAuth(deps), async (ctx) => {
    ctx.body = await whoAmI(identity, ctx);
    ctx.set('Cache-Control', 'no-store');
  });
}

async function login(
  { identity, limits }: PeopleDeps,
  ctx: Context,
  input: z.output<typeof loginInput>,
): Promise<LoggedIn> {
  const { core } = identity;
  const web = isWebRequest(identity, ctx);
  const name = input.email ?? input.username ?? '';
  const { password, app, tenant_id: tenantId, altcha } = input;
  const credentials = { name, password, app, tenantId, altcha, secondStep: true };
  ctx.set('Cache-Control', 'no-store');
  const loggedIn = await logInGuarded(core, credentials, callerOf(ctx), showCounts(ctx));
  limits.authenticated(ctx);
  ctx.body = { success: true, message: 'You are logged in.', user: loggedIn.user };
  answerTokens(identity, ctx, { web, tokens: loggedIn.tokens });
  return loggedIn;
}

async function refreshTokens(
  { identity, limits }: PeopleDeps,
  ctx: Context,
  input: z.output<typeof refreshInput>,
): Promise<void> {
  const cookie = input.refresh_token === undefined ? findRefreshCookie(identity, ctx) : undefined;
  const refreshToken = input.refresh_token ?? cookie;
  if (refreshToken === undefined) throw new AppError('unauthenticated');
  const tokens = await refresh(identity.core, { refreshToken, clientId: null, caller: callerOf(ctx) });
  limits.authenticated(ctx);
  ctx.body = { success: true, message: 'Here are new tokens.' };
  answerTokens(identity, ctx, { web: cookie !== undefined, tokens });
}

/**
 * Ends the access token's session, and that of the refresh token in the body or the cookie as well. A token that names nothing is
 * no obstacle, except a bad access token when nothing else proves whose session it was. Without a good access token it counts as an
 * anonymous request, before anything is looked up (S53), unless the refresh token ends a session.
 */
async function leave(
  { identity, limits }: PeopleDeps,
  ctx: Context,
  input: z.output<typeof refreshInput>,
): Promise<void> {
  const caller = callerOf(ctx);
  const presented = findAccessToken(ctx);
  const cookie = findRefreshCookie(identity, ctx);
  const refreshToken = input.refresh_token ?? cookie;
  const refusal = presented && (await endPresented(identity, ctx, presented));
  const goOn = async (): Promise<void> => {
    if (presented === undefined && refreshToken === undefined) throw new AppError('unauthenticated');
    const ended =
      refreshToken === undefined
        ? undefined
        : await revokeByRefreshToken(identity.core, { refreshToken, clientId: null }, caller);
    if (ended !== undefined && ended > 0) limits.authenticated(ctx);
    // Only now: while the session could not be ended, the cookie is all that a page can ask again with.
    if (ctx.cookies.get(REFRESH_COOKIE) !== undefined) writeRefreshCookie(identity, ctx, undefined);
    if (refusal !== undefined && ended === undefined) throw refusal;
    ctx.body = { success: true, message: 'You are logged out.' };
  };
  if (presented !== undefined && refusal === undefined) await goOn();
  else await limits.asAnonymous(ctx, goOn);
}

/** Returns why the access token was refused, for the refresh token may still say whose session ends. */
async function endPresented(
  identity: Identity,
  ctx: Context,
  presented: PresentedToken,
): Promise<AppError | undefined> {
  try {
    const principal = await authenticateToken(identity, ctx, presented);
    const { tenantId, sessionId: id } = principal;
    await logOut(identity.core, { tenantId, id, by: principalKey(principal) }, callerOf(ctx));
    return undefined;
  } catch (error) {
    if (error instanceof AppError && error.status === 401) return error;
    throw error;
  }
}

async function whoAmI(identity: Identity, ctx: Context): Promise<Record<string, unknown>> {
  const principal = principalOf(ctx);
  const [row] =
    principal.kind === 'user'
      ? await identity.core.db.sql<{ email: string; role: string }>(
          'SELECT email, role FROM users WHERE tenant_id = $1 AND id = $2',
          [principal.tenantId, principal.id],
        )
      : [];
  return {
    success: true,
    user: {
      id: principal.id,
      kind: principal.kind,
      username: principal.name,
      ...(principal.kind === 'user' && { display_name: principal.displayName ?? null }),
      ...(row === undefined ? {} : { email: row.email, role: row.role }),
      tenant_id: principal.tenantId,
    },
    scopes: [...principal.scopes],
    partitions: { read: [...principal.grants.read], write: [...principal.grants.write] },
    session_id: principal.sessionId,
    expires_at: new Date(principal.expiresAt).toISOString(),
  };
}
