import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import { networkOf } from '../auth/addresses.ts';
import type { IdentityCore } from '../auth/core.ts';
import { changeDevice, listDevices } from '../auth/devices-admin.ts';
import { describeDevice, openFurtherSession, registerDevice, requireDevice } from '../auth/devices.ts';
import type { DeviceView } from '../auth/devices.ts';
import type { Identity } from '../auth/identity.ts';
import { grant, text } from '../auth/names.ts';
import { sha256 } from '../auth/opaque.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { refresh } from '../auth/refresh.ts';
import { logOut, revoke } from '../auth/revoke.ts';
import { guardSecret } from '../auth/secret-guesses.ts';
import type { TokenSet } from '../auth/sessions.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody, withQuery } from '../middleware/input.ts';
import { authenticateToken, findAccessToken } from '../middleware/possession.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { pageInput, paginate } from './paging.ts';

interface DeviceDeps {
  identity: Identity;
  limits: RateLimits;
}

const fingerprint = text.min(8).max(512);
const name = text.trim().min(1).max(100);
const userAgent = text.max(300);

// strict: neither a tenant, a role, a partition nor another device's id is a device's to name (S54)
const registration = z.strictObject({
  fingerprint: fingerprint.optional(),
  name: name.optional(),
  platform: name.optional(),
  userAgent: userAgent.optional(),
});
const description = z.strictObject({
  fingerprint: fingerprint.optional(),
  name: name.nullable().optional(),
  platform: name.nullable().optional(),
  userAgent: userAgent.nullable().optional(),
});
const refreshInput = z.object({ refreshToken: z.string().min(1).max(200) });
const grants = z.strictObject({
  partitions: z.array(grant).max(1_000).optional(),
  isActive: z.boolean().optional(),
});

/** Anonymous devices (CONTRACT, "Anonymous devices and API keys"); every answer is `{success, message, data}`. */
export function deviceRoutes(deps: DeviceDeps): Router {
  const router = new Router({ prefix: '/api/v1' });
  addTokens(router, deps);
  addOwn(router, deps);
  addAdministration(router, deps);
  return router;
}

function addTokens(router: Router, deps: DeviceDeps): void {
  const { identity, limits } = deps;
  const { core } = identity;
  router.post(
    '/auth/device/register',
    limits.deviceRegistration,
    withBody(registration, async (ctx, input) => {
      const known = await findDevice(deps, ctx);
      const made = known
        ? { deviceId: known.id, tokens: await openFurtherSession(core, known, callerOf(ctx)) }
        : await registerDevice(core, traitsOf(ctx, input), callerOf(ctx));
      ctx.status = 201;
      answerTokens(ctx, 'The device is registered.', made);
    }),
  );
  for (const [path, message] of [
    ['/auth/login', 'The device is logged in.'],
    ['/auth/refresh', 'Here are new tokens.'],
  ] as const) {
    router.post(
      path,
      limits.anonymous,
      withBody(refreshInput, async (ctx, { refreshToken }) => {
        const tokens = await renew(core, ctx, refreshToken);
        limits.authenticated(ctx);
        const { id: deviceId } = await identity.authenticate(tokens.accessToken, callerOf(ctx));
        answerTokens(ctx, message, { deviceId, tokens });
      }),
    );
  }
}

/**
 * Login and refresh are one: the refresh token is used up for the next one of the same session. It is all a device has, so a
 * login must stand a lost answer, as a refresh does (S14).
 */
function renew(core: IdentityCore, ctx: Context, refreshToken: string): Promise<TokenSet> {
  const caller = callerOf(ctx);
  return guardSecret(core, {
    account: `device ${sha256(refreshToken).toString('hex')}`,
    ip: caller.ip,
    attempt: (isOver) => refresh(core, { refreshToken, clientId: null, kind: 'device', isOver, caller }),
    onCount: showCounts(ctx),
  });
}

function addOwn(router: Router, deps: DeviceDeps): void {
  const { core } = deps.identity;
  const device = [requireAuth(deps), requireKind()];
  router.post('/auth/logout', ...device, async (ctx) => {
    const principal = principalOf(ctx);
    const { tenantId, sessionId: id } = principal;
    await logOut(core, { tenantId, id, by: principalKey(principal) }, callerOf(ctx));
    answer(ctx, 'The device is logged out.', {});
  });
  router.post('/auth/validate', ...device, (ctx) => {
    answer(ctx, 'The token is valid.', validity(principalOf(ctx)));
  });
  router.get('/auth/device/info', ...device, async (ctx) => {
    const { tenantId, id } = principalOf(ctx);
    answer(ctx, 'This is the device.', toOwnWire(core, await requireDevice(core.db.sql, tenantId, id)));
  });
  router.put(
    '/auth/device/update',
    ...device,
    withBody(description, async (ctx, input) => {
      const view = await describeDevice(core, principalOf(ctx), input, callerOf(ctx));
      answer(ctx, 'The device is updated.', toOwnWire(core, view));
    }),
  );
  // counted for devices alone: whoever proves nothing uses up nobody's acts (S53)
  router.delete('/auth/device/revoke', ...device, deps.limits.strict, async (ctx) => {
    const principal = principalOf(ctx);
    const { tenantId, id } = principal;
    const cause = { reason: 'revoked_by_owner', by: principalKey(principal), caller: callerOf(ctx) };
    const ended = await revoke(core, { tenantId, kind: 'device', id }, cause);
    answer(ctx, 'The device is revoked.', { deviceId: id, endedSessions: ended });
  });
}

function addAdministration(router: Router, deps: DeviceDeps): void {
  const { core } = deps.identity;
  const admin = requireAuth(deps, { scope: 'admin' });
  router.get(
    '/admin/devices',
    admin,
    withQuery(pageInput, async (ctx, page) => {
      const { devices, total } = await listDevices(core, principalOf(ctx).tenantId, page);
      answer(ctx, 'These are the devices.', { devices, pagination: paginate(page, total) });
    }),
  );
  router.patch(
    '/admin/devices/:id',
    admin,
    requireFreshOfPeople(deps.identity),
    withBody(grants, async (ctx, input) => {
      const change = { id: parseInput(z.uuid(), paramOf(ctx, 'id')), changes: input };
      const view = await changeDevice(core, principalOf(ctx), change, callerOf(ctx));
      answer(ctx, 'The device is changed.', view);
    }),
  );
}

/** A device that sends its token along asks for a further session; anybody else's token is no device. */
async function findDevice({ identity }: DeviceDeps, ctx: Context): Promise<Principal | undefined> {
  if (ctx.get('Authorization') === '') return undefined;
  const presented = findAccessToken(ctx);
  if (presented === undefined) throw new AppError('unauthenticated');
  return requireDeviceKind(await authenticateToken(identity, ctx, presented));
}

function requireKind(): Middleware {
  return async (ctx, next) => {
    requireDeviceKind(principalOf(ctx));
    await next();
  };
}

function requireDeviceKind(principal: Principal): Principal {
  if (principal.kind === 'device') return principal;
  throw new AppError('forbidden', { message: 'Only an anonymous device may do this.' });
}

/** Left out, the fingerprint is made of what each request of the device looks like. */
function traitsOf(ctx: Context, input: z.output<typeof registration>): Parameters<typeof registerDevice>[1] {
  const { ip = '', userAgent: agent = '' } = callerOf(ctx);
  const looks = ['Accept', 'Accept-Language', 'Accept-Encoding'].map((header) => ctx.get(header));
  return {
    ...input,
    fingerprint: input.fingerprint ?? [agent, ...looks, networkOf(ip)].join('\n'),
    userAgent: input.userAgent ?? agent.slice(0, 300),
  };
}

function answerTokens(
  ctx: Context,
  message: string,
  { deviceId, tokens }: { deviceId: string; tokens: TokenSet },
): void {
  ctx.set('Cache-Control', 'no-store');
  answer(ctx, message, {
    deviceId,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    expiresIn: tokens.expiresIn,
    refreshExpiresIn: tokens.refreshExpiresIn,
  });
}

function validity(principal: Principal): Record<string, unknown> {
  return {
    isValid: true,
    deviceId: principal.id,
    sessionId: principal.sessionId,
    role: 'anonymous',
    scopes: [...principal.scopes],
    partitions: { read: [...principal.grants.read], write: [...principal.grants.write] },
    expiresAt: new Date(principal.expiresAt).toISOString(),
  };
}

function toOwnWire({ config }: IdentityCore, view: DeviceView): Record<string, unknown> {
  return { ...view, role: 'anonymous', maxSessions: config.MAX_SESSIONS_PER_DEVICE };
}

function answer(ctx: Context, message: string, data: object): void {
  ctx.body = { success: true, message, data };
}
