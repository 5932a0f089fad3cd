import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';
import { ADMIN_KEY } from './support/gateway.ts';

describe('devices and API keys at the sockets of the whole gateway', () => {
  let app: App;
  let dataDir: string;
  const open: Socket[] = [];
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-devices-'));
    const config = parseConfig({
      ...{ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0', INTERNAL_API_KEY: ADMIN_KEY },
    });
    app = await createApp({ config, log: createLogger('silent') });
  });
  after(async () => {
    for (const socket of open) socket.close();
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const connect = (namespace: string, auth: object): Socket => {
    const socket = io(`${app.url}${namespace}`, {
      ...{ transports: ['websocket'], reconnection: false, forceNew: true, auth },
    });
    open.push(socket);
    return socket;
  };
  const heard = <T>(socket: Socket, event: string): Promise<T> =>
    new Promise((resolve) => socket.once(event, resolve));
  const ask = async (method: string, path: string, request: { bearer?: string; json?: unknown } = {}) => {
    const proof: Record<string, string> =
      request.bearer === undefined
        ? { 'x-api-key': ADMIN_KEY }
        : { authorization: `Bearer ${request.bearer}` };
    const response = await fetch(`${app.url}/api/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...proof },
      ...(request.json === undefined ? {} : { body: JSON.stringify(request.json) }),
    });
    return ((await response.json()) as { data: Record<string, string> }).data;
  };

  it('an API key opens no socket, and is told what does', async () => {
    const { id: clientId } = await ask('POST', '/admin/clients', {
      json: { name: 'Shop', clientType: 'web' },
    });
    const json = { clientId, permissions: ['sync:read', 'chat'], partitions: ['*'] };
    const { apiKey } = await ask('POST', '/admin/keys/create', { json });
    const refusals = [];
    for (const auth of [{ token: apiKey }, { apiKey }]) {
      const error = await heard<Error & { data: { code: string } }>(connect('/sync', auth), 'connect_error');
      refusals.push([error.data.code, /API key/.test(error.message)]);
    }
    const chat = await heard<{ code: string; message: string }>(
      connect('/', { token: apiKey }),
      'auth_error',
    );
    expect(refusals).to.deep.equal([
      ['invalid_token', true],
      ['unauthenticated', true],
    ]);
    expect([chat.code, chat.message.includes('X-API-Key')]).to.deep.equal(['invalid_token', true]);
  });

  it('[S22] a device syncs what it was granted, and is cut off when it is revoked', async () => {
    const response = await fetch(`${app.url}/api/v1/auth/device/register`, { method: 'POST' });
    const { data } = (await response.json()) as { data: { deviceId: string; accessToken: string } };
    await ask('PATCH', `/admin/devices/${data.deviceId}`, { json: { partitions: ['p1:read'] } });
    const socket = connect('/sync', { token: data.accessToken });
    const hello = { protocol: 1, clientId: randomUUID(), incarnation: randomUUID(), cursor: null };
    const subscribe = [{ collection: 'assets', partitions: ['p1'] }];
    const ack = (await socket.timeout(10_000).emitWithAck('sync:hello', { ...hello, subscribe })) as object;
    expect(ack).to.include({ ok: true });
    const told = heard<{ code: string }>(socket, 'auth:revoked');
    const gone = heard<string>(socket, 'disconnect');
    await ask('DELETE', '/auth/device/revoke', { bearer: data.accessToken });
    expect([(await told).code, await gone]).to.deep.equal(['revoked', 'io server disconnect']);
  });
});
