import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import type { IdentityCore } from '../auth/core.ts';
import type { Identity } from '../auth/identity.ts';
import { principalKey } from '../auth/principal.ts';
import { feedWindow, readFeed } from '../auth/revocation-feed.ts';
import type { FeedPage } from '../auth/revocation-feed.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { withQuery } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

interface FeedDeps {
  identity: Identity;
  limits: RateLimits;
  /** False while the gateway drains. */
  accepting?: () => boolean;
}

const query = z.object({
  since: z.string().max(60_000).optional(),
  /** Seconds that an answer without news may take. */
  wait: z.coerce.number().min(0).max(25).default(0),
});

/** Of one caller; who asks more often than this at once is answered at once. */
const WAITING_EACH = 8;
/** How long a lost hint delays the news. */
const LOOK_MS = 1_000;

/** The feed of ended sessions of the caller's tenant, for services that check access tokens by themselves (`sdk/verify.ts`). */
export function revocationRoutes(deps: FeedDeps): Router {
  const router = new Router();
  const { core } = deps.identity;
  const waiting = new Map<string, number>();
  router.get(
    '/auth/revocations',
    requireAuth(deps, { scope: 'auth:revocations' }),
    withQuery(query, async (ctx, { since, wait }) => {
      const { tenantId, ...principal } = principalOf(ctx);
      const caller = `${tenantId} ${principalKey(principal)}`;
      const others = waiting.get(caller) ?? 0;
      const until = performance.now() + (others < WAITING_EACH ? wait * 1_000 : 0);
      waiting.set(caller, others + 1);
      try {
        const page = await waitForNews(deps, ctx, { tenantId, since, until });
        answer(ctx, core, { tenantId, page });
      } finally {
        const left = (waiting.get(caller) ?? 1) - 1;
        if (left > 0) waiting.set(caller, left);
        else waiting.delete(caller);
      }
    }),
  );
  return router;
}

function answer(ctx: Context, core: IdentityCore, read: { tenantId: number; page: FeedPage }): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.body = {
    success: true,
    tenant: read.tenantId,
    // after this many seconds the last token of such a session has expired
    forget_after: feedWindow(core.config),
    ...read.page,
  };
}

/** Reads until there is something to tell, or until the time is up. */
async function waitForNews(
  { identity: { core }, accepting = () => true }: FeedDeps,
  ctx: Context,
  asked: { tenantId: number; since: string | undefined; until: number },
): Promise<FeedPage> {
  const { tenantId, since, until } = asked;
  const news = listen(core, tenantId);
  try {
    for (;;) {
      // before the look: what is said meanwhile is looked for again
      const told = news.next();
      const page = await readFeed(core, tenantId, since);
      const left = until - performance.now();
      const isOver = left <= 0 || ctx.req.socket.destroyed || !accepting();
      if (page.revoked.length > 0 || page.reset || isOver) return page;
      await told(Math.min(left, LOOK_MS));
    }
  } finally {
    news.stop();
  }
}

/** `next()` begins to listen; what it returns waits for a word about the tenant since then, or for so many milliseconds. */
function listen(
  core: IdentityCore,
  tenantId: number,
): { next(): (ms: number) => Promise<void>; stop(): void } {
  let isTold = false;
  let wake = (): void => undefined;
  const stop = core.revocations.subscribe((told) => {
    if (told !== tenantId) return;
    isTold = true;
    wake();
  });
  return {
    stop,
    next() {
      isTold = false;
      return (ms) =>
        new Promise((resolve) => {
          if (isTold) {
            resolve();
            return;
          }
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
    },
  };
}
