import Router from '@koa/router';
import { ASSERTION_ALGORITHMS } from '../auth/client-keys.ts';
import { DPOP_ALGORITHMS } from '../auth/dpop.ts';
import type { Identity } from '../auth/identity.ts';
import { JWKS_MAX_AGE_SECONDS } from '../auth/key-ring.ts';
import { SCOPES_SUPPORTED } from '../auth/roles.ts';

/** What others need to get and to check tokens: server metadata (RFC 8414) and the public keys (RFC 7517). */
export function wellKnownRoutes({ identity }: { identity: Identity }): Router {
  const router = new Router();
  router.get('/.well-known/oauth-authorization-server', (ctx) => {
    const issuer = identity.core.issuer();
    const base = issuer.replace(/\/$/, '');
    const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];
    const algorithms = [...ASSERTION_ALGORITHMS];
    ctx.body = {
      issuer,
      token_endpoint: `${base}/oauth/token`,
      // none: the gateway's own terminal client
      token_endpoint_auth_methods_supported: [...methods, 'none'],
      token_endpoint_auth_signing_alg_values_supported: algorithms,
      revocation_endpoint: `${base}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: [...methods, 'none'],
      revocation_endpoint_auth_signing_alg_values_supported: algorithms,
      introspection_endpoint: `${base}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_signing_alg_values_supported: algorithms,
      device_authorization_endpoint: `${base}/oauth/device_authorization`,
      dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
      jwks_uri: `${base}/.well-known/jwks.json`,
      grant_types_supported: [
        'client_credentials',
        'refresh_token',
        'urn:ietf:params:oauth:grant-type:device_code',
      ],
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
