import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { authenticateClient, grantClientCredentials, noteGrantRefusal } from '../auth/client-grants.ts';
import type { AuthenticatedClient, ClientCredentials } from '../auth/client-grants.ts';
import { redeemDevice, requireDeviceCode } from '../auth/device-grants.ts';
import { dpopNonce, verifyProof } from '../auth/dpop.ts';
import type { Identity } from '../auth/identity.ts';
import { introspect } from '../auth/introspection.ts';
import { sha256 } from '../auth/opaque.ts';
import { refresh } from '../auth/refresh.ts';
import { revoke, revokeByRefreshToken } from '../auth/revoke.ts';
import type { TokenSet } from '../auth/sessions.ts';
import { callerOf } from '../middleware/input.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { findClientCredentials } from './oauth-credentials.ts';
import { OAuthError, answerInOAuthForm, parseForm, parseScope } from './oauth-form.ts';
import type { Form } from './oauth-form.ts';

interface OAuthDeps {
  identity: Identity;
  limits: RateLimits;
}

/** Token, revocation and introspection endpoints (RFC 6749, 7009, 7662): a small and strict surface. */
export function oauthRoutes(deps: OAuthDeps): Router {
  const router = new Router();
  router.post('/oauth/token', answerInOAuthForm(), withClient(deps, issueToken));
  router.post('/oauth/revoke', answerInOAuthForm(), withClient(deps, revokeToken));
  router.post('/oauth/introspect', answerInOAuthForm(), withClient(deps, introspectToken));
  return router;
}

interface OAuthRequest {
  /** Undefined: the gateway's own terminal client, which proves nothing. */
  client: AuthenticatedClient | undefined;
  form: Form;
}

type ClientHandler = (deps: OAuthDeps, ctx: Context, request: OAuthRequest) => Promise<void>;

/** All of them begin alike: a strict form, exactly one way of client authentication, the client's own limit. */
function withClient(deps: OAuthDeps, handle: ClientHandler): Middleware {
  return async (ctx) => {
    const { form, credentials } = await countMalformed(deps, ctx, () => readRequest(ctx));
    if (credentials.method === 'none') {
      await countMalformed(deps, ctx, () => handle(deps, ctx, { client: undefined, form }));
      return;
    }
    const client = await authenticate(deps, ctx, credentials);
    if (client.ratePerMinute !== null) {
      await deps.limits.consumeClient(ctx, { id: client.id, perMinute: client.ratePerMinute });
    }
    await handle(deps, ctx, { client, form });
  };
}

function readRequest(ctx: Context): { form: Form; credentials: ReturnType<typeof findClientCredentials> } {
  const form = parseForm(ctx);
  return { form, credentials: findClientCredentials(ctx, form) };
}

/** What is wrong with a request in itself; grants that are worth nothing have counts of their own. */
const MALFORMED = new Set([
  'invalid_request',
  'invalid_client',
  'unauthorized_client',
  'unsupported_grant_type',
]);

/** Nobody has authenticated: a request that makes no sense counts as an anonymous one. */
async function countMalformed<T>(
  { limits }: OAuthDeps,
  ctx: Context,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof OAuthError && MALFORMED.has(error.code)) await limits.refused(ctx);
    throw error;
  }
}

function authenticate(
  { identity: { core } }: OAuthDeps,
  ctx: Context,
  credentials: ClientCredentials,
): Promise<AuthenticatedClient> {
  const caller = callerOf(ctx);
  return core.guesses.guard({
    account: `client ${credentials.clientId}`,
    ip: caller.ip,
    attempt: (isOver) => authenticateClient(core, credentials, caller, isOver),
    unguessable: true,
    onCount: showCounts(ctx),
  });
}

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

const issueToken: ClientHandler = async (deps, ctx, { client, form }) => {
  if (client?.ratePerMinute === null) await deps.limits.consumeTokenRequest(ctx, client.id);
  const grant = form.get('grant_type');
  if (grant === undefined) throw new OAuthError('invalid_request', 'grant_type is missing');
  if (grant === 'client_credentials') answerToken(ctx, await grantClient(deps, ctx, { client, form }));
  else if (grant === 'refresh_token') answerToken(ctx, await grantRefresh(deps, ctx, { client, form }));
  else if (grant === DEVICE_GRANT) answerToken(ctx, await grantDevice(deps, ctx, { client, form }));
  else throw new OAuthError('unsupported_grant_type', 'that grant is not offered');
};

async function grantClient(
  { identity }: OAuthDeps,
  ctx: Context,
  { client, form }: OAuthRequest,
): Promise<TokenSet> {
  if (client === undefined) throw new OAuthError('unauthorized_client', 'this client has nothing of its own');
  const scope = parseScope(form.get('scope'));
  const dpopJkt = await findProvedKey(identity, ctx, client);
  return inScope(() => grantClientCredentials(identity.core, client, { scope, dpopJkt }, callerOf(ctx)));
}

async function grantRefresh(
  { identity, limits }: OAuthDeps,
  ctx: Context,
  { client, form }: OAuthRequest,
): Promise<TokenSet> {
  const refreshToken = form.get('refresh_token');
  if (refreshToken === undefined) throw new OAuthError('invalid_request', 'refresh_token is missing');
  const scope = parseScope(form.get('scope'));
  const renew = async (): Promise<TokenSet> => {
    const dpopJkt = await findProvedKey(identity, ctx, client);
    const clientId = client?.clientId ?? null;
    const request = { refreshToken, clientId, dpopJkt, scope, caller: callerOf(ctx) };
    const tokens = await inScope(() => asGrant(() => refresh(identity.core, request)));
    limits.authenticated(ctx);
    return tokens;
  };
  // nobody has proved anything yet: as at /auth/refresh
  return client === undefined ? limits.asAnonymous(ctx, renew) : renew();
}

async function grantDevice(
  { identity }: OAuthDeps,
  ctx: Context,
  { client, form }: OAuthRequest,
): Promise<TokenSet> {
  if (client !== undefined) throw new OAuthError('unauthorized_client', 'that grant is for terminals');
  const deviceCode = form.get('device_code');
  if (deviceCode === undefined) throw new OAuthError('invalid_request', 'device_code is missing');
  const { core } = identity;
  const caller = callerOf(ctx);
  await core.guesses.guard({
    // by the code, not by the client, which all terminals are
    account: `device code ${sha256(deviceCode).toString('base64url')}`,
    ip: caller.ip,
    attempt: () => requireDeviceCode(core, deviceCode),
    unguessable: true,
    onCount: showCounts(ctx),
  });
  const dpopJkt = await findProvedKey(identity, ctx, undefined);
  const outcome = await asGrant(() => redeemDevice(core, { deviceCode, dpopJkt }, caller));
  if ('refusal' in outcome) throw new OAuthError(outcome.refusal, DEVICE_REFUSALS[outcome.refusal]);
  return outcome;
}

const DEVICE_REFUSALS = {
  authorization_pending: 'nobody has decided yet',
  slow_down: 'wait five seconds longer between two requests',
  access_denied: 'it was refused',
  expired_token: 'nobody decided in time: ask anew',
  invalid_grant: 'the device code is not valid',
};

/** The key that a proof shows, when one is sent; a client that is registered for it must send one. */
async function findProvedKey(
  { core }: Identity,
  ctx: Context,
  client: AuthenticatedClient | undefined,
): Promise<string | undefined> {
  const proof = ctx.get('DPoP');
  if (proof === '' && client?.dpopBound !== true) return undefined;
  const shown = { proof, htm: 'POST', htu: `${core.issuer().replace(/\/$/, '')}/oauth/token` };
  try {
    const jkt = await verifyProof(core, shown);
    ctx.set('DPoP-Nonce', dpopNonce(core));
    return jkt;
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_dpop_proof')
      noteGrantRefusal(core, client, { code: error.code }, callerOf(ctx));
    throw error;
  }
}

/** Only the client's own tokens; whatever else was sent gets the same 200 (RFC 7009 section 2.2, S48). */
const revokeToken: ClientHandler = async ({ identity, limits }, ctx, { client, form }) => {
  const token = requireToken(form);
  const caller = callerOf(ctx);
  const clientId = client?.clientId ?? null;
  const end = async (): Promise<void> => {
    const ended = token.startsWith('srt_')
      ? await revokeByRefreshToken(identity.core, { refreshToken: token, clientId }, caller)
      : await revokeAccessToken(identity, clientId, token, caller);
    if (ended !== undefined && ended > 0) limits.authenticated(ctx);
  };
  if (client === undefined) await limits.asAnonymous(ctx, end);
  else await end();
  ctx.status = 200;
  ctx.body = '';
};

async function revokeAccessToken(
  identity: Identity,
  clientId: string | null,
  token: string,
  caller: ReturnType<typeof callerOf>,
): Promise<number | undefined> {
  const found = await identity.inspect(token).catch((error: unknown) => {
    if (error instanceof AppError && error.code !== 'unavailable') return undefined;
    throw error;
  });
  if (found?.state.clientId !== clientId) return undefined;
  const { tenantId, sessionId, kind, id } = found.state;
  const target = { tenantId, kind: 'session', id: sessionId } as const;
  return revoke(identity.core, target, { reason: 'revoked_by_owner', by: `${kind}:${id}`, caller });
}

/** What a client's own token is worth; of any other: not active (RFC 7662, S48). */
const introspectToken: ClientHandler = async ({ identity }, ctx, { client, form }) => {
  if (client === undefined) throw new OAuthError('invalid_client', 'authenticate the client');
  ctx.body = await introspect(identity, client, requireToken(form));
};

function requireToken(form: Form): string {
  const token = form.get('token');
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing');
  return token;
}

function answerToken(ctx: Context, tokens: TokenSet): void {
  ctx.body = {
    access_token: tokens.accessToken,
    token_type: tokens.tokenType,
    expires_in: tokens.expiresIn,
    scope: tokens.scope,
    refresh_token: tokens.refreshToken,
    refresh_expires_in: tokens.refreshExpiresIn,
  };
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

/** What a grant that is worth nothing (any more) is called. */
const BAD_GRANTS = ['invalid_token', 'token_expired', 'revoked', 'invalid_credentials'];

async function asGrant<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && BAD_GRANTS.includes(error.code)) {
      throw new OAuthError('invalid_grant', 'the grant is not valid');
    }
    throw error;
  }
}
