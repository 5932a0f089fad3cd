import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Identity } from '../auth/identity.ts';
import { BUCKET_MS, MOST_BUCKETS, countLogins } from '../auth/login-stats.ts';
import { moment } from '../auth/names.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { withQuery } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const query = z.object({
  from: moment.optional(),
  to: moment.optional(),
  bucket: z.enum(['hour', 'day']).default('hour'),
});

const DAY_MS = BUCKET_MS.day;
const USUAL_MS = { hour: DAY_MS, day: 30 * DAY_MS };

/** Logins, tokens and revocations of the caller's tenant over time (CONTRACT, "People"). */
export function loginStatsRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const router = new Router();
  const { core } = deps.identity;
  router.get(
    '/auth/stats',
    requireAuth(deps, { scope: 'audit:read' }),
    withQuery(query, async (ctx, { bucket, ...asked }) => {
      const to = asked.to ?? new Date(core.clock());
      const from = asked.from ?? new Date(to.getTime() - USUAL_MS[bucket]);
      const span = (to.getTime() - from.getTime()) / BUCKET_MS[bucket];
      if (span <= 0 || span > MOST_BUCKETS - 1) throw badRange(bucket);
      ctx.set('Cache-Control', 'no-store');
      ctx.body = {
        success: true,
        bucket,
        buckets: await countLogins(core.db.sql, principalOf(ctx).tenantId, { from, to, bucket }),
      };
    }),
  );
  return router;
}

function badRange(bucket: string): AppError {
  const message = `from lies before to, and no more than ${MOST_BUCKETS - 1} ${bucket}s lie between them`;
  return new AppError('invalid_request', { errors: [{ path: 'from', message }] });
}
