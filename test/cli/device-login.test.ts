import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { createSessionFile } from '../../client-cli/session-file.ts';
import { call, createPerson, logIn } from '../auth/support/client.ts';
import { createGuarded } from '../auth/support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { until } from '../support/sync-gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const CODE = /\b[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\b/;

/** Against the real identity routes; waiting takes no time, but the gateway's clock sees it. */
describe('sluice login in the browser', () => {
  let gateway: Gateway;
  let bearer: string;
  beforeEach(async () => {
    gateway = await startGateway();
    await createPerson(gateway, { username: 'ana' });
    bearer = (await logIn(gateway, 'ana')).access;
  });
  afterEach(() => gateway.close());

  const open = (configDir: string, more: { tty?: { columns: number; rows: number } } = {}): Terminal => {
    const terminal = createTerminal({ url: gateway.url, configDir, ...more });
    terminal.host.clock = {
      now: gateway.clock,
      after(ms, fn) {
        const timer = setTimeout(() => {
          gateway.clock.advance(ms);
          fn();
        }, 10);
        return () => clearTimeout(timer);
      },
    };
    return terminal;
  };
  const codeOn = async (terminal: Terminal): Promise<string> => {
    await until('a code', () => CODE.test(terminal.err() + terminal.out()));
    return CODE.exec(terminal.err() + terminal.out())?.[0] ?? '';
  };
  const decide = (user_code: string, approve: boolean): Promise<unknown> =>
    call(gateway, '/api/device/decide', { json: { user_code, approve }, bearer });

  it('shows a link and a code, and keeps the session as any other once it is approved', () =>
    withFolder(async (folder) => {
      const terminal = open(folder, { tty: { columns: 80, rows: 40 } });
      const running = terminal.run('login');
      const code = await codeOn(terminal);
      expect(terminal.err()).to.contain(`${gateway.url}/device`);
      await decide(code, true);
      expect(await running, terminal.err()).to.equal(0);
      expect(terminal.out()).to.contain('Logged in as ana');
      const saved = await createSessionFile(folder, gateway.url).read();
      expect(saved?.user?.username).to.equal('ana');
      const next = open(folder);
      expect(await next.run('whoami', '--json'), next.err()).to.equal(0);
      expect(JSON.parse(next.out())).to.have.nested.property('user.username', 'ana');
      expect(await next.run('logout')).to.equal(0);
      const sessions = await gateway.db.sql(
        `SELECT 1 FROM sessions WHERE app = 'sluice-cli' AND revoked_at IS NULL`,
      );
      expect(sessions).to.have.length(0);
    }));

  it('with --json: the code as one line, then who is logged in; the device code is shown to nobody', () =>
    withFolder(async (folder) => {
      const terminal = open(folder);
      const running = terminal.run('login', '--device', '--scope', 'sync:read', '--json');
      await decide(await codeOn(terminal), true);
      expect(await running, terminal.err()).to.equal(0);
      const lines = terminal
        .out()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      expect(lines[0]).to.include.keys('type', 'user_code', 'verification_uri', 'expires_in');
      expect(lines[1]).to.have.nested.property('user.username', 'ana');
      expect(terminal.out() + terminal.err()).to.not.contain('sdc_');
      const next = open(folder);
      await next.run('whoami', '--json');
      expect(JSON.parse(next.out())).to.have.deep.property('scopes', ['sync:read']);
    }));

  it('77 when it is refused, 1 when nobody decides in time, 1 when it is interrupted; nothing is kept', () =>
    withFolder(async (folder) => {
      const refused = open(folder);
      const running = refused.run('login', '--device');
      await decide(await codeOn(refused), false);
      expect(await running).to.equal(77);
      const late = open(folder);
      expect(await late.run('login', '--device', '--json')).to.equal(1);
      expect(JSON.parse(late.err())).to.have.nested.property('error.code', 'expired_token');
      const interrupted = open(folder);
      const waiting = interrupted.run('login', '--device');
      await codeOn(interrupted);
      interrupted.interrupt();
      expect(await waiting).to.equal(1);
      expect(await createSessionFile(folder, gateway.url).read()).to.equal(undefined);
    })).timeout(40_000);

  it('is what somebody with a second factor is told to do, whose password alone is not enough', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      const terminal = open(folder);
      terminal.type(`${PASSWORD}\n`);
      expect(await terminal.run('login', person.username, '--password-stdin')).to.equal(77);
      expect(terminal.err()).to.contain('npm run sluice -- login --device');
    }));

  it('a client with a key of its own is registered from a file, and has no secret', () =>
    withFolder(async (folder) => {
      const { publicKey } = await generateKeyPair('ES256', { extractable: true });
      const keys = { keys: [await exportJWK(publicKey)] };
      await writeFile(join(folder, 'keys.json'), JSON.stringify(keys));
      await writeFile(join(folder, 'admin.key'), ADMIN_KEY);
      const terminal = open(folder);
      const create = ['admin', 'clients', 'create', '--name', 'Branch 12', '--json'];
      expect(await terminal.run(...create, '--jwks', 'keys.json'), terminal.err()).to.equal(0);
      const made = JSON.parse(terminal.out()) as { client: object };
      expect(made).to.not.have.property('client_secret');
      expect(made.client).to.have.property('token_endpoint_auth_method', 'private_key_jwt');
      expect(await open(folder).run(...create, '--jwks', 'missing.json')).to.equal(1);
    }));

  it('its key may be PEM, as OpenSSL writes it; the private half goes nowhere', () =>
    withFolder(async (folder) => {
      const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
      const type = 'spki';
      await writeFile(join(folder, 'branch.pub'), publicKey.export({ format: 'pem', type }));
      await writeFile(join(folder, 'branch.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }));
      await writeFile(join(folder, 'admin.key'), ADMIN_KEY);
      const create = ['admin', 'clients', 'create', '--name', 'Branch 13', '--partition', 'branch-13'];
      const terminal = open(folder);
      expect(await terminal.run(...create, '--jwks', 'branch.pub'), terminal.err()).to.equal(0);
      expect(terminal.out()).to.contain('"privateKeyFile": "branch.key"');
      const wrong = open(folder);
      expect(await wrong.run(...create, '--jwks', 'branch.key')).to.equal(1);
      expect(wrong.err()).to.contain('openssl pkey -in KEY -pubout');
    }));
});
