import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import type { Challenge } from 'altcha-lib/types';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createChatClient } from '../../sdk/index.ts';
import type { ChatClient } from '../../sdk/index.ts';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { call, createPerson } from '../auth/support/client.ts';
import { ADMIN_KEY, PASSWORD } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { createDatabase } from '../support/database.ts';
import { until } from '../support/sync-gateway.ts';

interface LoginAnswer {
  ok: boolean;
  error?: { code: string; challenge?: Challenge };
}

describe('chat: a proof of work at the login by password', () => {
  let app: App;
  let dataDir: string;
  let socket: Socket | undefined;
  let client: ChatClient | undefined;

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-chat-proof-'));
    const config = parseConfig({
      ...{ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0', INTERNAL_API_KEY: ADMIN_KEY },
      ...{ RATE_LIMIT_MAX_REQUESTS: '1000', AUTH_FAILURE_LIMIT: '1000', AUTH_FAILURE_LIMIT_ADDRESS: '1000' },
      ...{ PROOF_OF_WORK_AFTER: '3', PROOF_OF_WORK_COST: '2' },
    });
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    app = await createApp({ config, log: createLogger('silent', sink), console: sink });
    const gateway = { ...app, clock: Date.now } as unknown as Gateway;
    await createPerson(gateway, { username: 'ana' });
    for (let tries = 0; tries < 3; tries += 1)
      await call(gateway, '/api/login', { json: { username: 'nobody', password: 'wrong' } });
  });
  afterEach(async () => {
    socket?.close();
    await client?.close();
  });
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = (password: string): ChatClient => {
    client = createChatClient({ url: app.url, login: { username: 'ana', password } });
    client.start();
    return client;
  };

  it('[S30] the refusal brings the challenge, and what ALTCHA’s own code makes of it lets in', async () => {
    const open = io(app.url, { transports: ['websocket'], forceNew: true });
    socket = open;
    const heard: { code: string; challenge?: unknown }[] = [];
    open.on('auth_error', (body: { code: string; challenge?: unknown }) => heard.push(body));
    const ask = (more: object = {}): Promise<LoginAnswer> =>
      open.emitWithAck('authenticate', { username: 'ana', password: PASSWORD, ...more });
    const { error } = await ask();
    expect(error?.code).to.equal('proof_of_work_required');
    expect(heard[0]?.challenge).to.deep.equal(error?.challenge);
    const challenge = error!.challenge!;
    const solution = await solveChallenge({ challenge, deriveKey });
    const altcha = Buffer.from(JSON.stringify({ challenge, solution })).toString('base64');
    expect(await ask({ altcha })).to.include({ ok: true });
  });

  it('[S30] the SDK’s chat client works it out by itself', async () => {
    const chat = start(PASSWORD);
    await until('it to be in', () => chat.state.name === 'live');
    expect((await chat.send('general', 'after some work')).seq).to.equal(1);
  });

  it('[S30] a wrong password is refused all the same, and says so', async () => {
    const chat = start('wrong');
    await until('the refusal', () => chat.state.name === 'refused');
    expect(chat.state).to.include({ code: 'invalid_credentials' });
  });
});
