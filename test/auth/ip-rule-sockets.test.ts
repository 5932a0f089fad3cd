import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';
import { ADMIN_KEY, PASSWORD } from './support/gateway.ts';

const CREDENTIALS = { username: 'ana', password: PASSWORD };

describe('address rules at the sockets of the whole gateway', () => {
  let app: App;
  let dataDir: string;
  const open: Socket[] = [];
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-rules-'));
    const config = parseConfig({
      ...{ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0', INTERNAL_API_KEY: ADMIN_KEY },
      TRUST_PROXY: 'true',
    });
    app = await createApp({ config, log: createLogger('silent'), console: new PassThrough().resume() });
  });
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.close();
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const connect = (namespace: string, ip: string, auth: object = {}): Socket => {
    const socket = io(`${app.url}${namespace}`, {
      ...{ transports: ['websocket'], reconnection: false, forceNew: true, auth },
      extraHeaders: { 'x-forwarded-for': ip },
    });
    open.push(socket);
    return socket;
  };
  const heard = <T>(socket: Socket, event: string): Promise<T> =>
    new Promise((resolve) => socket.once(event, resolve));
  const post = async (
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<unknown> => {
    const response = await fetch(app.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1', ...headers },
      body: JSON.stringify(body),
    });
    return response.json();
  };
  const deny = (cidr: string): Promise<unknown> =>
    post('/api/v1/admin/ip-rules', { cidr, action: 'deny' }, { 'x-api-key': ADMIN_KEY });
  const createPerson = async (): Promise<string> => {
    const person = { username: 'ana', email: 'ana@example.com', password: PASSWORD };
    await post('/api/signup', person);
    await app.db.sql(`UPDATE users SET verified_at = now(), role = 'owner'`);
    const { access_token: token } = (await post('/api/login', CREDENTIALS)) as { access_token: string };
    return token;
  };

  it('[S47] a handshake from a denied address is refused, on both namespaces, with a token and a password', async () => {
    const token = await createPerson();
    await deny('203.0.113.0/24');
    const refused = await heard<{ data: { code: string } }>(
      connect('/sync', '203.0.113.7', { token }),
      'connect_error',
    );
    const chat = connect('/', '203.0.113.7');
    await heard(chat, 'connected');
    const answers = [];
    for (const credentials of [{ token }, CREDENTIALS])
      answers.push((await chat.timeout(5_000).emitWithAck('authenticate', credentials)) as unknown);
    await heard(connect('/sync', '192.0.2.1', { token }), 'connect');
    expect(refused.data.code).to.equal('address_refused');
    for (const answer of answers) expect(answer).to.have.nested.property('error.code', 'address_refused');
  });

  it('[S58] an open socket goes at once when its address is denied, the others stay', async () => {
    const token = await createPerson();
    const far = connect('/sync', '203.0.113.7', { token });
    const near = connect('/sync', '192.0.2.1', { token });
    const chat = connect('/', '203.0.113.8');
    await Promise.all([heard(far, 'connect'), heard(near, 'connect'), heard(chat, 'connected')]);
    const admitted = (await chat.timeout(5_000).emitWithAck('authenticate', CREDENTIALS)) as { ok: boolean };
    // whatever else is new has been told by now
    for (let i = 0; i < 2; i += 1) await app.identity.core.revocations.poll();
    const farGone = heard(far, 'disconnect');
    const closing = heard<{ code: string }>(far, 'sync:closing');
    const chatGone = heard(chat, 'disconnect');
    await deny('203.0.113.0/24');
    await Promise.all([farGone, chatGone]);
    expect(admitted.ok).to.equal(true);
    expect((await closing).code).to.equal('address_refused');
    expect(near.connected).to.equal(true);
  });
});
