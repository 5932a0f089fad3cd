import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { isStorable } from '../auth/names.ts';

/** Errors of RFC 6749 section 5.2 (and `temporarily_unavailable` of 4.1.2.1, for want of a better one). */
type OAuthCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'temporarily_unavailable';

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

/** Answers of `/oauth/*` are never cached, and refusals have the RFC's form. */
export function answerInOAuthForm(): Middleware {
  return async (ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Pragma', 'no-cache');
    try {
      await next();
    } catch (error) {
      const refusal = error instanceof OAuthError ? error : fromAppError(error);
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

/** The client's id and secret from exactly one place: Basic (RFC 6749 section 2.3.1) or the body. */
export function findClientCredentials(ctx: Context, form: Form): { clientId: string; secret: string } {
  const header = ctx.get('Authorization');
  const secret = form.get('client_secret');
  const clientId = form.get('client_id');
  if (form.has('client_assertion') || form.has('client_assertion_type')) {
    throw new OAuthError('invalid_client', 'client assertions are not offered');
  }
  if (header === '') {
    if (clientId === undefined || secret === undefined) {
      throw new OAuthError('invalid_client', 'authenticate the client');
    }
    return { clientId, secret };
  }
  if (secret !== undefined) throw new OAuthError('invalid_request', 'authenticate in one way, not in two');
  const basic = parseBasic(header);
  if (basic === undefined) throw new OAuthError('invalid_client', 'the Authorization header is malformed');
  if (!isStorable(basic.clientId)) throw new OAuthError('invalid_request', 'the client id holds NUL');
  if (clientId !== undefined && clientId !== basic.clientId) {
    throw new OAuthError('invalid_request', 'client_id contradicts the Authorization header');
  }
  return basic;
}

/** Strict base64, one colon at least, both halves form-encoded. */
function parseBasic(header: string): { clientId: string; secret: string } | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined || encoded.length > 1_024) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) return undefined;
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  try {
    return { clientId: decode(text.slice(0, colon)), secret: decode(text.slice(colon + 1)) };
  } catch {
    return undefined;
  }
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

function fromAppError(error: unknown): OAuthError | undefined {
  if (!(error instanceof AppError)) return undefined;
  if (error.code === 'invalid_credentials')
    return new OAuthError('invalid_client', 'authenticate the client');
  if (error.code === 'forbidden') return new OAuthError('unauthorized_client', error.message);
  if (error.code === 'revoked') return new OAuthError('invalid_grant', 'the session has ended');
  return error.retry === 'later' && error.code !== 'internal'
    ? new OAuthError('temporarily_unavailable', error.message)
    : undefined;
}

function writeRefusal(ctx: Context, refusal: OAuthError, cause: unknown): void {
  ctx.status = refusal.code === 'invalid_client' ? 401 : 400;
  if (cause instanceof AppError && cause.retry === 'later') {
    ctx.status = cause.status;
    if (cause.details.retryAfterMs !== undefined) {
      ctx.set('Retry-After', String(Math.ceil(cause.details.retryAfterMs / 1_000)));
    }
  }
  if (refusal.code === 'invalid_client') ctx.set('WWW-Authenticate', 'Basic realm="sluice", charset="UTF-8"');
  ctx.body = { error: refusal.code, error_description: refusal.message };
}
