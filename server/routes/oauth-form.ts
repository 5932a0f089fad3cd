import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import type { DeviceRefusal } from '../auth/device-grants.ts';
import { isStorable } from '../auth/names.ts';

/** Errors of RFC 6749 section 5.2 and RFC 8628 section 3.5 (and `temporarily_unavailable` of 4.1.2.1, for want of a better one). */
type OAuthCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'temporarily_unavailable'
  | DeviceRefusal
  // RFC 9449
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce';

export class OAuthError extends Error {
  readonly code: OAuthCode;

  constructor(code: OAuthCode, description: string) {
    super(description);
    this.name = 'OAuthError';
    this.code = code;
  }
}

/** Parameters of a form; an empty one counts as left out (RFC 6749 section 3.2). */
export type Form = ReadonlyMap<string, string>;

/** Comes before the body is read, so that a body that cannot be is refused in the RFC's form too (S51). */
export function oauthForm(): Middleware {
  const answer = answerInOAuthForm();
  return async (ctx, next) => {
    if (ctx.path.startsWith('/oauth/')) await answer(ctx, next);
    else await next();
  };
}

/** Answers of `/oauth/*` are never cached, and refusals have the RFC's form. */
export function answerInOAuthForm(): Middleware {
  return async (ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Pragma', 'no-cache');
    try {
      await next();
    } catch (error) {
      const refusal = error instanceof OAuthError ? error : (fromAppError(error) ?? fromBodyParser(error));
      if (refusal === undefined) throw error;
      writeRefusal(ctx, refusal, error);
    }
  };
}

/** Reads the form out of the raw body. Refuses other types, duplicates (S42) and text that cannot be stored. */
export function parseForm(ctx: Context): Form {
  if (ctx.is('application/x-www-form-urlencoded') === false) {
    throw new OAuthError('invalid_request', 'send application/x-www-form-urlencoded');
  }
  const { rawBody } = ctx.request as { rawBody?: string };
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(rawBody ?? '')) {
    if (form.has(name)) throw new OAuthError('invalid_request', 'a parameter is given twice');
    if (!isStorable(value)) throw new OAuthError('invalid_request', 'a parameter holds NUL');
    form.set(name, value);
  }
  for (const [name, value] of form) if (value === '') form.delete(name);
  return form;
}

/** The scopes that are asked for; undefined: none by name. */
export function parseScope(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(' ').filter(Boolean);
  if (names.length === 0) throw new OAuthError('invalid_scope', 'the scope is empty');
  return [...new Set(names)];
}

function fromAppError(error: unknown): OAuthError | undefined {
  if (!(error instanceof AppError)) return undefined;
  if (error.code === 'invalid_credentials')
    return new OAuthError('invalid_client', 'authenticate the client');
  if (error.code === 'invalid_code') return new OAuthError('invalid_grant', 'the device code is not valid');
  if (error.code === 'forbidden' || error.code === 'address_refused')
    return new OAuthError('unauthorized_client', error.message);
  if (error.code === 'invalid_dpop_proof' || error.code === 'use_dpop_nonce')
    return new OAuthError(error.code, error.message);
  if (error.code === 'revoked') return new OAuthError('invalid_grant', 'the session has ended');
  return error.retry === 'later' && error.code !== 'internal'
    ? new OAuthError('temporarily_unavailable', error.message)
    : undefined;
}

function fromBodyParser(error: unknown): OAuthError | undefined {
  const { status } = error as { status?: unknown };
  if (error instanceof AppError || (status !== 400 && status !== 413 && status !== 415)) return undefined;
  return new OAuthError('invalid_request', 'the body cannot be read');
}

function writeRefusal(ctx: Context, refusal: OAuthError, cause: unknown): void {
  const { status } = cause as { status?: unknown };
  ctx.status = refusal.code === 'invalid_client' ? 401 : status === 413 ? 413 : 400;
  if (cause instanceof AppError && cause.retry === 'later') {
    ctx.status = cause.status;
    if (cause.details.retryAfterMs !== undefined) {
      ctx.set('Retry-After', String(Math.ceil(cause.details.retryAfterMs / 1_000)));
    }
  }
  if (cause instanceof AppError && cause.details.dpopNonce !== undefined)
    ctx.set('DPoP-Nonce', cause.details.dpopNonce);
  if (refusal.code === 'invalid_client') ctx.set('WWW-Authenticate', 'Basic realm="sluice", charset="UTF-8"');
  ctx.body = { error: refusal.code, error_description: refusal.message };
}
