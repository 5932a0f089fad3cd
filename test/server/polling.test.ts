import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { io } from 'socket.io-client';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';

describe('the transport of the whole app', () => {
  let app: App;
  let dataDir: string;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-polling-'));
    const config = parseConfig({ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0' });
    app = await createApp({ config, log: createLogger('silent') });
  });
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('[E2] a client that polls is served as one with a WebSocket is, and HTTP goes on', async () => {
    const socket = io(app.url, { transports: ['polling'], reconnection: false });
    const greeting = await new Promise<{ authenticateWithinMs: number }>((resolve, reject) => {
      socket.once('connected', resolve);
      socket.once('connect_error', reject);
    });
    socket.close();
    expect(greeting.authenticateWithinMs).to.equal(10_000);
    expect((await fetch(`${app.url}/health/live`)).status).to.equal(200);
  });
});
