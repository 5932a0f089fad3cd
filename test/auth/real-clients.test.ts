import { expect } from 'chai';
import { decodeProtectedHeader, exportJWK } from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import type { Client } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

/**
 * The gateway on a plain address of this machine: the one thing that both libraries have to be told, and call deprecated so that
 * it stands out.
 */
// eslint-disable-next-line @typescript-eslint/no-deprecated
const INSECURE = { [oauth.allowInsecureRequests]: true };

describe('real OAuth clients, unmodified', () => {
  let gateway: Gateway;
  let client: Client;
  before(async () => {
    gateway = await startGateway();
    client = await createClient(gateway);
  });
  after(() => gateway.close());

  async function registerKey(): Promise<{ clientId: string; key: oauth.CryptoKey }> {
    const pair = await oauth.generateKeyPair('ES256');
    const jwks = { keys: [await exportJWK(pair.publicKey)] };
    const made = await createClient(gateway, { token_endpoint_auth_method: 'private_key_jwt', jwks });
    return { clientId: made.clientId, key: pair.privateKey };
  }

  describe('oauth4webapi', () => {
    let server: oauth.AuthorizationServer;
    before(async () => {
      const issuer = new URL(gateway.url);
      const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...INSECURE });
      server = await oauth.processDiscoveryResponse(issuer, response);
    });

    const grant = async (
      clientId: string,
      auth: oauth.ClientAuth,
      DPoP?: oauth.DPoPHandle,
    ): Promise<oauth.TokenEndpointResponse> => {
      const me = { client_id: clientId };
      const ask = (): Promise<Response> =>
        oauth.clientCredentialsGrantRequest(
          server,
          me,
          auth,
          { scope: 'sync:read' },
          { ...(DPoP && { DPoP }), ...INSECURE },
        );
      try {
        return await oauth.processClientCredentialsResponse(server, me, await ask());
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        return oauth.processClientCredentialsResponse(server, me, await ask());
      }
    };

    it('discovers the server (RFC 8414)', () => {
      expect(server.introspection_endpoint).to.equal(`${gateway.url}/oauth/introspect`);
      expect(server.dpop_signing_alg_values_supported).to.include('ES256');
      expect(server.grant_types_supported).to.include('urn:ietf:params:oauth:grant-type:device_code');
    });

    for (const [method, auth] of [
      ['client_secret_basic', oauth.ClientSecretBasic],
      ['client_secret_post', oauth.ClientSecretPost],
    ] as const)
      it(`gets, refreshes, introspects and revokes by ${method}`, async () => {
        const me = { client_id: client.clientId };
        const by = auth(client.secret);
        const first = await grant(client.clientId, by);
        const renewed = await oauth.processRefreshTokenResponse(
          server,
          me,
          await oauth.refreshTokenGrantRequest(server, me, by, first.refresh_token ?? '', INSECURE),
        );
        const ask = async (token: string): Promise<oauth.IntrospectionResponse> =>
          oauth.processIntrospectionResponse(
            server,
            me,
            await oauth.introspectionRequest(server, me, by, token, INSECURE),
          );
        const before = await ask(renewed.access_token);
        const revoked = await oauth.revocationRequest(server, me, by, renewed.access_token, INSECURE);
        await oauth.processRevocationResponse(revoked);
        expect([before.active, before.scope]).to.deep.equal([true, 'sync:read']);
        expect((await ask(renewed.access_token)).active).to.equal(false);
      });

    it('gets a token by private_key_jwt, and one bound to a key (DPoP), nonce and all', async () => {
      const { clientId, key } = await registerKey();
      const DPoP = oauth.DPoP({}, await oauth.generateKeyPair('ES256'));
      const tokens = await grant(clientId, oauth.PrivateKeyJwt(key), DPoP);
      const route = new URL('/auth/me', gateway.url);
      const use = (): Promise<Response> =>
        oauth.protectedResourceRequest(tokens.access_token, 'GET', route, undefined, undefined, {
          DPoP,
          ...INSECURE,
        });
      expect(tokens.token_type).to.equal('dpop');
      expect((await use()).status).to.equal(200);
    });

    it('[S43] is refused with a wrong secret in a form it understands', async () => {
      const error = await grant(client.clientId, oauth.ClientSecretBasic('wrong')).catch(
        (cause: unknown) => cause,
      );
      expect(error).to.be.instanceOf(oauth.WWWAuthenticateChallengeError);
    });

    it('a token of ours passes its validation by JWKS (RFC 9068)', async () => {
      const { access_token: token } = await grant(client.clientId, oauth.ClientSecretPost(client.secret));
      const request = new Request(gateway.url, { headers: { authorization: `Bearer ${token}` } });
      const claims = await oauth.validateJwtAccessToken(server, request, 'sluice', INSECURE);
      expect([claims.client_id, claims.scope]).to.deep.equal([client.clientId, 'sync:read']);
    });
  });

  it('the keys rotate without a restart: a validator that reads the JWKS takes tokens of before and after', async () => {
    const issuer = new URL(gateway.url);
    const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...INSECURE });
    const server = await oauth.processDiscoveryResponse(issuer, response);
    const validate = async (token: string): Promise<unknown> => {
      const request = new Request(gateway.url, { headers: { authorization: `Bearer ${token}` } });
      return (await oauth.validateJwtAccessToken(server, request, 'sluice', INSECURE)).client_id;
    };
    const before = await clientTokens(gateway, client);
    await gateway.identity.core.keys.rotate({ immediately: true });
    const after = await clientTokens(gateway, client);
    const kidOf = (token: string): unknown => decodeProtectedHeader(token).kid;
    expect(kidOf(before.access)).to.not.equal(kidOf(after.access));
    expect([await validate(before.access), await validate(after.access)]).to.deep.equal([
      client.clientId,
      client.clientId,
    ]);
  });

  describe('openid-client', () => {
    const discover = (
      clientId: string,
      auth: openid.ClientAuth,
      metadata: Partial<openid.ClientMetadata> = {},
    ): Promise<openid.Configuration> =>
      openid.discovery(new URL(gateway.url), clientId, metadata, auth, {
        algorithm: 'oauth2',
        // eslint-disable-next-line @typescript-eslint/no-deprecated
        execute: [openid.allowInsecureRequests],
      });

    it('gets, refreshes, introspects and revokes by secret', async () => {
      const config = await discover(client.clientId, openid.ClientSecretBasic(client.secret));
      const first = await openid.clientCredentialsGrant(config, { scope: 'sync:read' });
      const renewed = await openid.refreshTokenGrant(config, first.refresh_token ?? '');
      const before = await openid.tokenIntrospection(config, renewed.access_token);
      await openid.tokenRevocation(config, renewed.refresh_token ?? '');
      const after = await openid.tokenIntrospection(config, renewed.access_token);
      expect([before.active, after.active]).to.deep.equal([true, false]);
    });

    it('gets a token by private_key_jwt with DPoP, refreshes it and uses it, by itself', async () => {
      const { clientId, key } = await registerKey();
      const config = await discover(clientId, openid.PrivateKeyJwt(key));
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'));
      const first = await openid.clientCredentialsGrant(config, {}, { DPoP });
      const renewed = await openid.refreshTokenGrant(config, first.refresh_token ?? '', {}, { DPoP });
      const route = new URL('/auth/me', gateway.url);
      const used = await openid.fetchProtectedResource(
        config,
        renewed.access_token,
        route,
        'GET',
        undefined,
        undefined,
        { DPoP },
      );
      expect([renewed.token_type, used.status]).to.deep.equal(['dpop', 200]);
    });

    it('logs a terminal in by the device flow, bound to a key', async function () {
      // it keeps the pace it is told: five seconds, twice with the nonce
      this.timeout(40_000);
      await createPerson(gateway, { username: 'ana' });
      const { access } = await logIn(gateway, 'ana');
      const config = await discover('sluice-cli', openid.None());
      const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'));
      const asked = await openid.initiateDeviceAuthorization(config, { scope: 'sync:read' });
      const polling = openid.pollDeviceAuthorizationGrant(config, asked, {}, { DPoP });
      await call(gateway, '/api/device/decide', {
        json: { user_code: asked.user_code, approve: true },
        bearer: access,
      });
      const tokens = await polling;
      expect([tokens.token_type, tokens.scope]).to.deep.equal(['dpop', 'sync:read']);
      const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token ?? '', {}, { DPoP });
      await openid.tokenRevocation(config, renewed.access_token);
      const after = await call(gateway, '/auth/refresh', {
        json: { refresh_token: renewed.refresh_token },
      });
      expect(after.status).to.equal(401);
    });

    it('hears that a terminal was refused', async function () {
      this.timeout(40_000);
      const { access } = await logIn(gateway, 'ana');
      const config = await discover('sluice-cli', openid.None());
      const asked = await openid.initiateDeviceAuthorization(config, {});
      const polling = openid.pollDeviceAuthorizationGrant(config, asked).catch((error: unknown) => error);
      await call(gateway, '/api/device/decide', {
        json: { user_code: asked.user_code, approve: false },
        bearer: access,
      });
      expect(await polling).to.have.property('error', 'access_denied');
    });
  });
});
