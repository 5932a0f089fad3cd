import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Server } from 'node:http';
import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import { SignJWT, generateKeyPair } from 'jose';
import Koa from 'koa';
import type pg from 'pg';
import type { BenchClient } from './side.ts';

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

export const BARE_CLIENTS = `CREATE TABLE bare_clients (client_id text PRIMARY KEY, secret bytea NOT NULL, scopes text NOT NULL)`;

/**
 * The reference of the token endpoint: Koa, jose and one row that is read. It keeps no session and no refresh token, so nothing it
 * issues can be revoked; it counts nothing, and writes no audit.
 */
export async function serveBareTokens(
  http: Server,
  pool: pg.Pool,
): Promise<{ registerClients(count: number): Promise<BenchClient[]> }> {
  const { privateKey } = await generateKeyPair('ES256');
  const router = new Router();
  router.post('/oauth/token', async (ctx) => {
    const form = ctx.request.body as Record<string, string | undefined>;
    const { rows } = await pool.query<{ secret: Buffer; scopes: string }>({
      name: 'bare-client',
      text: 'SELECT secret, scopes FROM bare_clients WHERE client_id = $1',
      values: [form['client_id']],
    });
    const [client] = rows;
    if (client === undefined || !timingSafeEqual(client.secret, sha256(form['client_secret'] ?? ''))) {
      ctx.status = 401;
      ctx.body = { error: 'invalid_client' };
      return;
    }
    const token = await new SignJWT({ scope: client.scopes, client_id: form['client_id'] })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'bare' })
      .setIssuer('bare')
      .setAudience('sluice')
      .setSubject(form['client_id'] ?? '')
      .setIssuedAt()
      .setExpirationTime('15m')
      .setJti(randomUUID())
      .sign(privateKey);
    ctx.body = { access_token: token, token_type: 'Bearer', expires_in: 900, scope: client.scopes };
  });
  const handle = new Koa()
    .use(bodyParser({ enableTypes: ['form'] }))
    .use(router.routes())
    .callback();
  http.on('request', (request, response) => {
    // Socket.IO answers its own path
    if (request.url?.startsWith('/oauth/') === true) void handle(request, response);
  });
  return {
    async registerClients(count) {
      const clients = Array.from({ length: count }, () => ({
        clientId: randomUUID(),
        clientSecret: randomBytes(32).toString('base64url'),
      }));
      for (const { clientId, clientSecret } of clients)
        await pool.query('INSERT INTO bare_clients VALUES ($1, $2, $3)', [
          clientId,
          sha256(clientSecret),
          'sync:read sync:write',
        ]);
      return clients;
    },
  };
}
