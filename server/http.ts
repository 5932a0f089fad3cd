import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import cors from '@koa/cors';
import Koa from 'koa';
import helmet from 'koa-helmet';
import type { Identity } from './auth/identity.ts';
import type { Config } from './config.ts';
import type { Database } from './db.ts';
import type { OriginCheck } from './io.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { accessLog } from './middleware/access-log.ts';
import { problemDetails } from './middleware/errors.ts';
import { requestId } from './middleware/request-id.ts';
import { createRateLimits } from './middleware/rate-limit.ts';
import { adminClientRoutes } from './routes/admin-clients.ts';
import { adminUserRoutes } from './routes/admin-users.ts';
import { auditRoutes } from './routes/audit.ts';
import { devMailRoutes } from './routes/dev-mail.ts';
import { healthRoutes } from './routes/health.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { peopleRoutes } from './routes/people.ts';
import { servePage } from './routes/spa.ts';
import { wellKnownRoutes } from './routes/well-known.ts';
import type { Sync } from './sync/sync.ts';

export interface HttpDeps {
  config: Config;
  db: Database;
  identity: Identity;
  sync: Sync;
  metrics: Metrics;
  log: Logger;
  issuer: () => string;
  allowOrigin: OriginCheck;
  /** False while the gateway drains. */
  accepting: () => boolean;
}

/** The whole of HTTP on one page: the order of the middleware, then every mount. */
export function createHttp(deps: HttpDeps): {
  handle: (request: IncomingMessage, response: ServerResponse) => void;
} {
  const app = new Koa({ proxy: deps.config.TRUST_PROXY, maxIpsCount: 1 });
  app.silent = true;
  app.use(requestId());
  app.use(accessLog(deps.log));
  app.use(
    helmet({ contentSecurityPolicy: { directives: PAGE_POLICY }, strictTransportSecurity: httpsOnly(deps) }),
  );
  app.use(problemDetails(deps.log));
  app.use(cors({ origin: (ctx) => allowedOrigin(deps, ctx.get('Origin')), credentials: true, maxAge: 600 }));
  app.use(servePage());
  app.use(
    bodyParser({
      enableTypes: ['json', 'form'],
      jsonLimit: '1mb',
      formLimit: '64kb',
      parsedMethods: WITH_BODY,
    }),
  );
  const limits = createRateLimits(deps.config);
  const { identity } = deps;
  const routers = [
    healthRoutes(deps),
    wellKnownRoutes({ identity }),
    peopleRoutes({ identity, limits }),
    oauthRoutes({ identity, limits }),
    adminClientRoutes({ identity, limits }),
    adminUserRoutes({ identity, limits }),
    auditRoutes({ identity, limits }),
    devMailRoutes({ identity }),
  ];
  for (const router of routers) {
    app.use(router.routes()).use(router.allowedMethods());
  }
  const callback = app.callback();
  return { handle: (request, response) => void callback(request, response) };
}

const WITH_BODY = ['POST', 'PUT', 'PATCH', 'DELETE'];

/** The page loads its own files alone and talks to its own origin alone; nothing inline, nothing evaluated (S64). */
const PAGE_POLICY = {
  defaultSrc: ["'self'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'"],
  connectSrc: ["'self'"],
  fontSrc: ["'self'"],
  scriptSrcAttr: ["'none'"],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'self'"],
  upgradeInsecureRequests: null,
};

function httpsOnly(deps: HttpDeps): boolean {
  return deps.issuer().startsWith('https:');
}

function allowedOrigin(deps: HttpDeps, origin: string): string {
  return origin !== '' && deps.allowOrigin(origin) ? origin : '';
}
