import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import { hasScope } from '../auth/access.ts';
import type { Identity } from '../auth/identity.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { callerOf, parseInput } from './input.ts';
import { authenticateToken, findAccessToken } from './possession.ts';
import { showCounts } from './rate-limit.ts';
import type { RateLimits } from './rate-limit.ts';

export interface AuthRequirement {
  /** Scope the caller must have. */
  scope?: string;
  /** The body names the tenant in `tenantId` (else the query may). */
  tenantInBody?: boolean;
}

/**
 * Lets in who proves who they are: `Authorization: Bearer` (or `DPoP`), or `X-API-Key`, never both. Puts the principal
 * into `ctx.state.principal`. A request that names a tenant other than the caller's is refused (S63).
 */
export function requireAuth(
  { identity, limits }: { identity: Identity; limits?: RateLimits },
  requirement: AuthRequirement = {},
): Middleware {
  return async (ctx, next) => {
    const { principal, named } = await prove({ identity, limits }, ctx, requirement);
    // before anything is refused: who may do little may not ask without end
    await limits?.consumeCaller(ctx, principal, await identity.standingOf(principal));
    try {
      if (named !== undefined && named !== principal.tenantId) throw new AppError('forbidden');
      if (requirement.scope !== undefined && !hasScope(principal, requirement.scope)) {
        throw new AppError('forbidden', { message: `This needs the scope ${requirement.scope}.` });
      }
      ctx.state['principal'] = principal;
      await next();
    } catch (error) {
      noteRefusal(identity, ctx, { principal, error });
      throw error;
    }
  };
}

/** Who tries to do, or to give, what they may not leaves a trace, although whatever was begun is rolled back (S54, S61). */
function noteRefusal(
  { core }: Identity,
  ctx: Context,
  { principal, error }: { principal: Principal; error: unknown },
): void {
  if (!(error instanceof AppError) || !REACHED_TOO_FAR.has(error.code)) return;
  const { ip, requestId } = callerOf(ctx);
  // the pattern, for the path itself may hold what is secret
  const { _matchedRoute: pattern } = ctx as { _matchedRoute?: unknown };
  const act = `${ctx.method} ${String(pattern)}`;
  const who = { tenantId: principal.tenantId, principal: principalKey(principal) };
  core.refusals.note(
    { ...who, action: 'access.refused', code: error.code, ip, requestId, details: { act } },
    act,
  );
}

const REACHED_TOO_FAR = new Set(['forbidden', 'forbidden_partition']);

/** The principal that `requireAuth` found. */
export function principalOf(ctx: Context): Principal {
  const { principal } = ctx.state as { principal?: Principal };
  if (principal === undefined) throw new Error('this route is not behind requireAuth');
  return principal;
}

/** Who it is, and the tenant that the request names. What is refused here counts as an anonymous request (S53). */
async function prove(
  { identity, limits }: { identity: Identity; limits: RateLimits | undefined },
  ctx: Context,
  requirement: AuthRequirement,
): Promise<{ principal: Principal; named: number | undefined }> {
  try {
    const named = findNamedTenant(ctx, requirement);
    return { principal: await authenticate(identity, ctx, named), named };
  } catch (error) {
    if (error instanceof AppError && provesNothing(error)) await limits?.refused(ctx);
    throw error;
  }
}

/** Not what is to be tried again: an overload is nobody's fault, and who is sent a nonce has shown a good token. */
function provesNothing({ status, code }: AppError): boolean {
  return status < 429 && code !== 'use_dpop_nonce';
}

async function authenticate(
  identity: Identity,
  ctx: Context,
  tenantId: number | undefined,
): Promise<Principal> {
  const presented = findAccessToken(ctx);
  const key = ctx.get('X-API-Key');
  if (presented !== undefined && key === '') return authenticateToken(identity, ctx, presented);
  ctx.set('WWW-Authenticate', 'Bearer realm="sluice"');
  if (key === '' || ctx.get('Authorization') !== '') throw new AppError('unauthenticated');
  return identity.authenticateKey(key, { tenantId, caller: callerOf(ctx), onCount: showCounts(ctx) });
}

const tenantId = z.coerce.number().int().positive().max(2_147_483_647).optional();

function findNamedTenant(ctx: Context, requirement: AuthRequirement): number | undefined {
  const { body } = ctx.request as { body?: unknown };
  const inBody =
    requirement.tenantInBody === true && typeof body === 'object' && body !== null
      ? (body as { tenantId?: unknown }).tenantId
      : undefined;
  return parseInput(z.object({ tenantId }), { tenantId: inBody ?? ctx.query['tenantId'] }).tenantId;
}
