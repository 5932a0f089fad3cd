import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { authenticateClient, grantClientCredentials } from '../auth/client-grants.ts';
import type { AuthenticatedClient } from '../auth/client-grants.ts';
import type { Identity } from '../auth/identity.ts';
import type { TokenSet } from '../auth/sessions.ts';
import { refresh } from '../auth/refresh.ts';
import { revoke, revokeByRefreshToken } from '../auth/revoke.ts';
import { callerOf } from '../middleware/input.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { OAuthError, answerInOAuthForm, findClientCredentials, parseForm } from './oauth-form.ts';
import type { Form } from './oauth-form.ts';

interface OAuthDeps {
  identity: Identity;
  limits: RateLimits;
}

/** Token and revocation endpoints (RFC 6749, RFC 7009): a small and strict surface. */
export function oauthRoutes(deps: OAuthDeps): Router {
  const router = new Router();
  router.post('/oauth/token', answerInOAuthForm(), withClient(deps, issueToken));
  router.post('/oauth/revoke', answerInOAuthForm(), withClient(deps, revokeToken));
  return router;
}

type ClientHandler = (
  deps: OAuthDeps,
  ctx: Context,
  request: { client: AuthenticatedClient; form: Form },
) => Promise<void>;

/** Both endpoints begin alike: a strict form, exactly one way of client authentication, the client's own limit. */
function withClient(deps: OAuthDeps, handle: ClientHandler): Middleware {
  return async (ctx) => {
    const form = parseForm(ctx);
    const credentials = findClientCredentials(ctx, form);
    const caller = callerOf(ctx);
    const { core } = deps.identity;
    const client = await core.guesses.guard({
      account: `client ${credentials.clientId}`,
      ip: caller.ip,
      attempt: () => authenticateClient(core, credentials, caller),
      unguessable: true,
      onCount: showCounts(ctx),
    });
    if (client.ratePerMinute !== null) {
      await deps.limits.consumeClient(ctx, { id: client.id, perMinute: client.ratePerMinute });
    }
    await handle(deps, ctx, { client, form });
  };
}

const issueToken: ClientHandler = async ({ identity, limits }, ctx, { client, form }) => {
  if (client.ratePerMinute === null) await limits.consumeTokenRequest(ctx, client.id);
  const scope = parseScope(form.get('scope'));
  const caller = callerOf(ctx);
  const grant = form.get('grant_type');
  if (grant === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  if (grant === 'client_credentials') {
    answerToken(ctx, await inScope(() => grantClientCredentials(identity.core, client, scope, caller)));
    return;
  }
  if (grant !== 'refresh_token') throw new OAuthError('unsupported_grant_type', 'that grant is not offered');
  const refreshToken = form.get('refresh_token');
  if (refreshToken === undefined) throw new OAuthError('invalid_request', 'refresh_token is missing');
  const request = { refreshToken, clientId: client.clientId, scope, caller };
  answerToken(ctx, await inScope(() => asGrant(() => refresh(identity.core, request))));
};

/** Only the client's own tokens; whatever else was sent gets the same 200 (RFC 7009 section 2.2, S48). */
const revokeToken: ClientHandler = async ({ identity }, ctx, { client, form }) => {
  const token = form.get('token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  const caller = callerOf(ctx);
  if (token.startsWith('srt_')) {
    await revokeByRefreshToken(identity.core, { refreshToken: token, clientId: client.clientId }, caller);
  } else {
    await revokeAccessToken(identity, client, token, caller);
  }
  ctx.status = 200;
  ctx.body = '';
};

async function revokeAccessToken(
  identity: Identity,
  client: AuthenticatedClient,
  token: string,
  caller: ReturnType<typeof callerOf>,
): Promise<void> {
  const principal = await identity.authenticate(token).catch((error: unknown) => {
    if (error instanceof AppError && error.code !== 'unavailable') return undefined;
    throw error;
  });
  if (principal?.kind !== 'client' || principal.id !== client.id) return;
  const target = { tenantId: client.tenantId, kind: 'session', id: principal.sessionId } as const;
  await revoke(identity.core, target, { reason: 'revoked_by_owner', by: `client:${client.id}`, caller });
}

function answerToken(ctx: Context, tokens: TokenSet): void {
  ctx.body = {
    access_token: tokens.accessToken,
    token_type: 'Bearer',
    expires_in: tokens.expiresIn,
    scope: tokens.scope,
    refresh_token: tokens.refreshToken,
    refresh_expires_in: tokens.refreshExpiresIn,
  };
}

function parseScope(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(' ').filter(Boolean);
  if (names.length === 0) throw new OAuthError('invalid_scope', 'the scope is empty');
  return [...new Set(names)];
}

async function inScope<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.code === 'forbidden') {
      throw new OAuthError('invalid_scope', 'that scope was not granted');
    }
    throw error;
  }
}

async function asGrant<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && ['invalid_token', 'token_expired', 'revoked'].includes(error.code)) {
      throw new OAuthError('invalid_grant', 'the refresh token is not valid');
    }
    throw error;
  }
}
