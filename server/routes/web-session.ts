import type { Context } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import type { Identity } from '../auth/identity.ts';
import type { TokenSet } from '../auth/sessions.ts';
import { createOriginCheck } from '../origins.ts';

/** Refresh tokens of browsers: an HttpOnly cookie, honoured only together with our header and from our own origin (S60). */

export const REFRESH_COOKIE = 'sluice_refresh';
const WEB_HEADER = 'X-Sluice-Web';

/** Whether the caller is a page that wants its refresh token in a cookie. Throws `origin_refused` for a foreign page. */
export function isWebRequest(identity: Identity, ctx: Context): boolean {
  if (ctx.get(WEB_HEADER) !== '1') return false;
  if (!isOwnOrigin(identity, ctx)) throw new AppError('origin_refused');
  return true;
}

/** The refresh token in the cookie; undefined unless the request proves to come from one of our own pages. */
export function findRefreshCookie(identity: Identity, ctx: Context): string | undefined {
  return isWebRequest(identity, ctx) ? ctx.cookies.get(REFRESH_COOKIE) : undefined;
}

/** Sets the cookie; `undefined` removes it. `maxAge` in seconds. */
export function writeRefreshCookie(
  identity: Identity,
  ctx: Context,
  cookie: { token: string; maxAge: number } | undefined,
): void {
  const secure = new URL(identity.core.issuer()).protocol === 'https:';
  const attributes = ['Path=/auth', 'HttpOnly', 'SameSite=Strict', ...(secure ? ['Secure'] : [])];
  const life = cookie === undefined ? 0 : cookie.maxAge;
  ctx.append(
    'Set-Cookie',
    [`${REFRESH_COOKIE}=${cookie?.token ?? ''}`, `Max-Age=${life}`, ...attributes].join('; '),
  );
}

/** Puts the tokens of a login or a refresh into the answer, a page's refresh token into its cookie. */
export function answerTokens(
  identity: Identity,
  ctx: Context,
  { web, tokens }: { web: boolean; tokens: TokenSet },
): void {
  ctx.set('Cache-Control', 'no-store');
  if (web) {
    writeRefreshCookie(identity, ctx, { token: tokens.refreshToken, maxAge: tokens.refreshExpiresIn });
  }
  ctx.body = {
    ...(ctx.body as object),
    access_token: tokens.accessToken,
    token_type: 'Bearer',
    expires_in: tokens.expiresIn,
    ...(web ? {} : { refresh_token: tokens.refreshToken }),
    refresh_expires_in: tokens.refreshExpiresIn,
  };
}

/** A page must say where it comes from; what a program leaves out is no proof. */
function isOwnOrigin({ core }: Identity, ctx: Context): boolean {
  const origin = ctx.get('Origin');
  return origin !== '' && createOriginCheck(core.config, core.issuer)(origin, ctx.socket);
}
