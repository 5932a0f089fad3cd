import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';
import { call, createPerson, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { ADMIN_KEY, PASSWORD } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const OTHER = 'another lantern 51 otter';

/** People of a second tenant, invited there, one of them with the name of somebody in the first. */
describe('logging in to a tenant of one’s own', () => {
  let app: App;
  let gateway: Gateway;
  let dataDir: string;
  let tenantId: number;
  const sockets: Socket[] = [];
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-tenants-'));
    const config = parseConfig({
      DATABASE_URL: await createDatabase(),
      DATA_DIR: dataDir,
      PORT: '0',
      INTERNAL_API_KEY: ADMIN_KEY,
      RATE_LIMIT_MAX_REQUESTS: '1000',
      AUTH_FAILURE_LIMIT: '1000',
      AUTH_FAILURE_LIMIT_ADDRESS: '1000',
      PROOF_OF_WORK_AFTER: '1000',
    });
    const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
    app = await createApp({ config, log: createLogger('silent', sink), console: sink });
    gateway = { ...app, clock: Date.now } as unknown as Gateway;
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name: 'Second' } });
    tenantId = (made.body['tenant'] as { id: number }).id;
    await createPerson(gateway, { username: 'ana', email: 'ana@example.com' });
    await accept(await invite('ana@second.example.com'), 'ana', OTHER);
  });
  afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const invite = async (email: string, tenant = tenantId): Promise<{ token: string; text: string }> => {
    await call(gateway, '/api/v1/admin/invitations', {
      json: { email, tenantId: tenant },
      key: ADMIN_KEY,
    });
    const [mail] = await mailsTo(gateway, email);
    return { token: /#(siv_\S+)/.exec(mail!.text)?.[1] ?? '', text: mail!.text };
  };
  const accept = ({ token }: { token: string }, username: string, password: string): Promise<Answer> =>
    call(gateway, '/api/invitations/accept', { json: { token, username, password } });
  /** What a socket is told of its password: who it is, or everything about the refusal. */
  const chat = (credentials: object): Promise<unknown> => {
    const socket = io(app.url, { transports: ['websocket'], reconnection: false, forceNew: true });
    sockets.push(socket);
    return new Promise((resolve) => {
      socket.on('connected', () =>
        socket.emit('authenticate', credentials, (answer: { ok: boolean; user?: { id: string } }) =>
          resolve(answer.ok ? answer.user?.id : answer),
        ),
      );
    });
  };
  const tenantOf = async (id: unknown): Promise<number | undefined> =>
    (await app.db.sql<{ tenant_id: number }>('SELECT tenant_id FROM users WHERE id = $1', [id]))[0]
      ?.tenant_id;

  it('[CH10] a socket names the tenant beside name and password; left out it is the first', async () => {
    const first = await chat({ username: 'ana', password: PASSWORD });
    const second = await chat({ username: 'ana', password: OTHER, tenantId });
    expect([await tenantOf(first), await tenantOf(second)]).to.deep.equal([1, tenantId]);
  });

  it('[S63] a password counts in its own tenant alone, over a socket as over HTTP', async () => {
    const json = { username: 'ana', password: OTHER };
    const crossed = [
      await chat({ ...json }),
      await chat({ username: 'ana', password: PASSWORD, tenantId }),
    ] as { error: { code: string } }[];
    expect(crossed.map(({ error }) => error.code)).to.deep.equal([
      'invalid_credentials',
      'invalid_credentials',
    ]);
    expect((await call(gateway, '/api/login', { json })).status).to.equal(401);
    expect((await call(gateway, '/api/login', { json: { ...json, tenant_id: tenantId } })).status).to.equal(
      200,
    );
  });

  it('[S29] a tenant that there is not answers as one where nobody has that name, or another password', async () => {
    const { passwords } = app.identity.core;
    const verify = passwords.verify.bind(passwords);
    let hashes = 0;
    passwords.verify = (stored, password) => {
      hashes += 1;
      return verify(stored, password);
    };
    const seen = new Set<string>();
    for (const [username, tenant] of [
      ['ana', tenantId],
      ['nobody', tenantId],
      ['ana', 4_711],
      ['nobody', undefined],
    ] as const) {
      hashes = 0;
      const refused = await chat({
        username,
        password: 'a wrong one',
        ...(tenant && { tenantId: tenant }),
      });
      seen.add(JSON.stringify([refused, hashes]));
    }
    passwords.verify = verify;
    expect([...seen]).to.have.length(1);
    expect([...seen][0]).to.include('invalid_credentials');
  });

  it('[CH10] what is no number of a tenant is refused as a message', async () => {
    for (const wrong of [0, -1, 1.5, '2', 2 ** 31, null]) {
      const answer = (await chat({ username: 'ana', password: OTHER, tenantId: wrong })) as {
        error: { code: string };
      };
      expect(answer.error.code, String(wrong)).to.equal('invalid_message');
    }
  });

  it('an invitation says which tenant it is to, before it is accepted and after', async () => {
    const { token } = await invite('ben@second.example.com');
    const look = await call(gateway, '/api/invitations/look', { json: { token } });
    const accepted = await accept({ token }, 'ben', OTHER);
    expect(look.body).to.include({ tenant: 'Second', tenant_id: tenantId });
    expect(accepted.body).to.include({ username: 'ben', tenant_id: tenantId });
  });

  it('[S32] its mail says where one logs in later, when that is not where everybody does', async () => {
    const elsewhere = await invite('cen@second.example.com');
    const here = await invite('cen@example.com', 1);
    expect(elsewhere.text).to.include(`${app.url}/login#${tenantId}`).and.include(`--tenant-id ${tenantId}`);
    expect(here.text).not.to.include('/login#').and.not.include('--tenant-id');
  });
});
