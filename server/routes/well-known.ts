import Router from '@koa/router';
import type { Identity } from '../auth/identity.ts';
import { JWKS_MAX_AGE_SECONDS } from '../auth/key-ring.ts';
import { SCOPES_SUPPORTED } from '../auth/roles.ts';

/** What others need to get and to check tokens: server metadata (RFC 8414) and the public keys (RFC 7517). */
export function wellKnownRoutes({ identity }: { identity: Identity }): Router {
  const router = new Router();
  router.get('/.well-known/oauth-authorization-server', (ctx) => {
    const issuer = identity.core.issuer();
    const base = issuer.replace(/\/$/, '');
    const methods = ['client_secret_basic', 'client_secret_post'];
    ctx.body = {
      issuer,
      token_endpoint: `${base}/oauth/token`,
      token_endpoint_auth_methods_supported: methods,
      revocation_endpoint: `${base}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: methods,
      jwks_uri: `${base}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials', 'refresh_token'],
      response_types_supported: [],
      scopes_supported: SCOPES_SUPPORTED,
    };
  });
  router.get('/.well-known/jwks.json', (ctx) => {
    ctx.set('Cache-Control', `public, max-age=${JWKS_MAX_AGE_SECONDS}`);
    ctx.body = identity.jwks();
  });
  return router;
}
