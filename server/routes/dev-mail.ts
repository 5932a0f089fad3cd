import type { IncomingHttpHeaders } from 'node:http';
import Router from '@koa/router';
import { AppError } from '../../protocol/errors.ts';
import type { Identity } from '../auth/identity.ts';
import { isLoopback } from '../mail.ts';

/**
 * The mails that were printed instead of sent. Exists only without a mail server, on a loopback HOST, and where PUBLIC_URL does
 * not say that a proxy shows this gateway to others; a request that came through a proxy is refused.
 */
export function devMailRoutes({ identity }: { identity: Identity }): Router {
  const router = new Router();
  const { keptMail, core } = identity;
  const { HOST, PUBLIC_URL } = core.config;
  const isPublic = PUBLIC_URL !== undefined && !isLoopback(new URL(PUBLIC_URL).hostname);
  if (keptMail === undefined || isPublic || !isLoopback(HOST)) return router;
  router.get('/dev/mail', (ctx) => {
    // a page whose name was made to resolve to this machine must not read codes
    if (!isLoopback(hostOf(ctx.req.headers.host)) || isProxied(ctx.req.headers))
      throw new AppError('route_not_found');
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { success: true, mails: keptMail() };
  });
  return router;
}

/** A proxy on this machine would show the mails to whoever asks it. */
function isProxied(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some((name) => PROXY_HEADER.test(name));
}

const PROXY_HEADER = /^(x-forwarded-.+|forwarded|x-real-ip|via)$/;

function hostOf(header: string | undefined): string {
  const url = `http://${header ?? ''}`;
  return URL.canParse(url) ? new URL(url).hostname : '';
}
