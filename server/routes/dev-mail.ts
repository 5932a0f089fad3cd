import Router from '@koa/router';
import type { Identity } from '../auth/identity.ts';
import { isLoopback } from '../mail.ts';

/** The mails that were printed instead of sent. Exists only without a mail server, and only on a loopback HOST. */
export function devMailRoutes({ identity }: { identity: Identity }): Router {
  const router = new Router();
  const { keptMail, core } = identity;
  if (keptMail === undefined || !isLoopback(core.config.HOST)) return router;
  router.get('/dev/mail', (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { success: true, mails: keptMail() };
  });
  return router;
}
