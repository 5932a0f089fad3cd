import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import cors from '@koa/cors';
import type Router from '@koa/router';
import Koa from 'koa';
import helmet from 'koa-helmet';
import { AppError } from '../protocol/errors.ts';
import type { Identity } from './auth/identity.ts';
import { servesIdentity } from './config.ts';
import type { Config } from './config.ts';
import type { Database } from './db.ts';
import type { OriginCheck } from './io.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { accessLog } from './middleware/access-log.ts';
import { problemDetails } from './middleware/errors.ts';
import { requestId } from './middleware/request-id.ts';
import { createRateLimits } from './middleware/rate-limit.ts';
import type { RateLimits } from './middleware/rate-limit.ts';
import { accountRoutes } from './routes/account.ts';
import { adminClientRoutes } from './routes/admin-clients.ts';
import { adminKeyRoutes } from './routes/admin-keys.ts';
import { adminUserRoutes } from './routes/admin-users.ts';
import { auditRoutes } from './routes/audit.ts';
import { devMailRoutes } from './routes/dev-mail.ts';
import { deviceRoutes } from './routes/devices.ts';
import { healthRoutes } from './routes/health.ts';
import { invitationRoutes } from './routes/invitations.ts';
import { loginStatsRoutes } from './routes/login-stats.ts';
import { ipRuleRoutes } from './routes/ip-rules.ts';
import { mfaRoutes } from './routes/mfa.ts';
import { terminalRoutes } from './routes/oauth-device.ts';
import { oauthForm } from './routes/oauth-form.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { passkeyRoutes } from './routes/passkeys.ts';
import { peopleRoutes } from './routes/people.ts';
import { revocationRoutes } from './routes/revocations.ts';
import { roleRoutes } from './routes/roles.ts';
import { servePage } from './routes/spa.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { wellKnownRoutes } from './routes/well-known.ts';

export interface HttpDeps {
  config: Config;
  db: Database;
  identity: Identity;
  metrics: Metrics;
  log: Logger;
  /** Where this process is reached. */
  baseUrl: () => string;
  allowOrigin: OriginCheck;
  /** False while the gateway drains. */
  accepting: () => boolean;
}

/** The whole of HTTP on one page: the order of the middleware, then every mount. */
export function createHttp(deps: HttpDeps): {
  handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** What is mounted, for those who list it. */
  routers: readonly Router[];
} {
  const app = new Koa({ proxy: deps.config.TRUST_PROXY, maxIpsCount: 1 });
  app.silent = true;
  app.use(requestId());
  app.use(accessLog(deps.log));
  app.use(
    helmet({ contentSecurityPolicy: { directives: PAGE_POLICY }, strictTransportSecurity: httpsOnly(deps) }),
  );
  app.use(problemDetails(deps.log));
  app.use(
    cors({
      origin: (ctx) => allowedOrigin(deps, ctx.get('Origin')),
      credentials: true,
      maxAge: 600,
      exposeHeaders: FOR_EVERY_CLIENT,
    }),
  );
  const isHome = servesIdentity(deps.config);
  // the page talks to its own origin, and begins with a login
  if (isHome) app.use(servePage());
  app.use(oauthForm());
  app.use(
    bodyParser({
      enableTypes: ['json', 'form'],
      jsonLimit: '1mb',
      formLimit: '64kb',
      parsedMethods: WITH_BODY,
      onError: (error) => {
        throw isUnpackable(error)
          ? new AppError('invalid_request', { message: UNPACKABLE, cause: error })
          : error;
      },
    }),
  );
  const limits = createRateLimits(deps.config, deps.identity.core.limits);
  const routers = [healthRoutes(deps), ...(isHome ? identityRoutes(deps, limits) : [])];
  for (const router of routers) {
    app.use(router.routes()).use(router.allowedMethods());
  }
  const callback = app.callback();
  return { handle: (request, response) => void callback(request, response), routers };
}

const UNPACKABLE = 'The body is not packed as its Content-Encoding says.';

/** What zlib throws at a body that is garbage, or cut off. */
function isUnpackable(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('Z_');
}

/** What a client goes by beside the body; a page of another origin sees no other header. */
const FOR_EVERY_CLIENT = [
  'Retry-After',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'X-Request-Id',
  'DPoP-Nonce',
  'WWW-Authenticate',
];

function identityRoutes({ identity, accepting }: HttpDeps, limits: RateLimits): Router[] {
  return [
    // the first is found soonest, and every agent asks it again and again
    oauthRoutes({ identity, limits }),
    wellKnownRoutes({ identity }),
    peopleRoutes({ identity, limits }),
    mfaRoutes({ identity, limits }),
    passkeyRoutes({ identity, limits }),
    accountRoutes({ identity, limits }),
    invitationRoutes({ identity, limits }),
    roleRoutes({ identity, limits }),
    terminalRoutes({ identity, limits }),
    adminClientRoutes({ identity, limits }),
    adminUserRoutes({ identity, limits }),
    tenantRoutes({ identity, limits }),
    deviceRoutes({ identity, limits }),
    adminKeyRoutes({ identity, limits }),
    ipRuleRoutes({ identity, limits }),
    auditRoutes({ identity, limits }),
    loginStatsRoutes({ identity, limits }),
    revocationRoutes({ identity, limits, accepting }),
    devMailRoutes({ identity }),
  ];
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
  return deps.baseUrl().startsWith('https:');
}

function allowedOrigin(deps: HttpDeps, origin: string): string {
  return origin !== '' && deps.allowOrigin(origin) ? origin : '';
}
