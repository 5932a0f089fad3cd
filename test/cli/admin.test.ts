import { expect } from 'chai';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FakeHouse } from './fake-house.ts';
import { ADMIN_KEY, PASSWORD, startFakeHouse } from './fake-house.ts';
import type { Terminal, TerminalOptions } from './terminal.ts';
import { createTerminal, withFolder } from './terminal.ts';

describe('administration in the terminal', () => {
  let house: FakeHouse;
  beforeEach(async () => (house = await startFakeHouse()));
  afterEach(() => house.close());

  const inFolder = (
    fn: (terminal: (options?: Partial<TerminalOptions>) => Terminal, folder: string) => Promise<void>,
  ) =>
    withFolder((configDir) =>
      fn((options = {}) => createTerminal({ url: house.url, configDir, ...options }), configDir),
    );

  const loggedIn = (
    fn: (terminal: (options?: Partial<TerminalOptions>) => Terminal, folder: string) => Promise<void>,
  ) =>
    inFolder(async (terminal, folder) => {
      const first = terminal();
      first.type(`${PASSWORD}\n`);
      expect(await first.run('login', 'ana', '--password-stdin'), first.err()).to.equal(0);
      expect(first.out() + first.err()).to.not.contain(PASSWORD);
      await fn(terminal, folder);
    });

  it('registers a client with the admin key from the data folder, and shows the secret once', () =>
    inFolder(async (terminal, folder) => {
      await writeFile(join(folder, 'admin.key'), `${ADMIN_KEY}\n`);
      const one = terminal();
      const argv = [
        '--name',
        'Branch 12',
        '--tenant-id',
        '1',
        '--partition',
        'branch-12',
        '--ip',
        '10.0.0.0/8',
      ];
      expect(await one.run('admin', 'clients', 'create', ...argv), one.err()).to.equal(0);
      const { key, body } = house.calls[0]!;
      expect(key).to.equal(ADMIN_KEY);
      expect(body).to.deep.equal({
        ...{ name: 'Branch 12', tenantId: 1, partitions: ['branch-12'], ipAllowList: ['10.0.0.0/8'] },
        ...{ scopes: ['sync:read', 'sync:write', 'config:read'], ratePerMinute: null },
      });
      expect(one.out().split('first-secret')).to.have.lengthOf(2);
      expect(one.out()).to.contain('"clientSecretFile": "branch.secret"').and.not.contain(ADMIN_KEY);
      expect(one.out()).to.contain("--partition '*:read'");
    }));

  it('remarks that another client has the same name', () =>
    inFolder(async (terminal) => {
      const create = async (): Promise<string> => {
        const one = terminal({ environment: { adminKey: ADMIN_KEY } });
        expect(await one.run('admin', 'clients', 'create', '--name', 'Branch 12'), one.err()).to.equal(0);
        return one.err();
      };
      expect(await create()).to.equal('');
      const other = { client_id: 'slc_1_old', name: 'Branch 12', disabled: false };
      house.otherClients = [other, { ...other, client_id: 'slc_1_off', disabled: true }];
      expect(await create())
        .to.contain('slc_1_old is called Branch 12 too')
        .and.not.contain('slc_1_off');
    }));

  it('lists, rotates and disables clients; lists and grants people', () =>
    inFolder(async (terminal) => {
      const admin = (): Terminal => terminal({ environment: { adminKey: ADMIN_KEY } });
      const rotated = admin();
      expect(await rotated.run('admin', 'clients', 'rotate', 'Branch 12', '--json')).to.equal(0);
      expect(JSON.parse(rotated.out())).to.include({ client_secret: 'second-secret', overlapHours: 24 });
      expect(await admin().run('admin', 'clients', 'list')).to.equal(0);
      expect(await admin().run('admin', 'clients', 'disable', 'slc_1_abc')).to.equal(0);
      expect(house.calls.at(-1)).to.deep.include({
        path: '/api/v1/admin/oauth-clients/c1',
        body: { disabled: true },
      });
      expect(await admin().run('admin', 'clients', 'disable', 'unknown')).to.equal(1);
      const grant = [
        'admin',
        'users',
        'grant',
        '--email',
        'ANA@example.org',
        '--partition',
        '*',
        '--role',
        'operator',
      ];
      expect(await admin().run(...grant)).to.equal(0);
      expect(house.calls.at(-1)?.body).to.deep.equal({ role: 'operator', partitions: ['*'] });
      expect(await admin().run('admin', 'users', 'list')).to.equal(0);
    }));

  it('asks as whoever is logged in and may, before it takes the key that lies about', () =>
    loggedIn(async (terminal, folder) => {
      await writeFile(join(folder, 'admin.key'), 'key-of-another-gateway\n');
      house.scopes = ['chat', 'admin'];
      expect(await terminal().run('admin', 'users', 'list')).to.equal(0);
      expect(house.calls.at(-1)?.key).to.equal(undefined);
      const given = terminal({ environment: { adminKey: ADMIN_KEY } });
      expect(await given.run('admin', 'users', 'list')).to.equal(0);
      expect(house.calls.at(-1)?.key).to.equal(ADMIN_KEY);
      house.scopes = ['chat'];
      await writeFile(join(folder, 'admin.key'), `${ADMIN_KEY}\n`);
      expect(await terminal().run('admin', 'users', 'list')).to.equal(0);
      expect(house.calls.at(-1)?.key).to.equal(ADMIN_KEY);
      await rm(join(folder, 'admin.key'));
      const member = terminal();
      expect(await member.run('admin', 'users', 'list')).to.equal(77);
      expect(member.err()).to.contain('does not have the right');
    }));

  it('77 with the key of another gateway: says whose it is not, and the ways out', () =>
    inFolder(async (terminal, folder) => {
      await writeFile(join(folder, 'admin.key'), 'key-of-another-gateway\n');
      const one = terminal();
      expect(await one.run('admin', 'users', 'list')).to.equal(77);
      expect(one.err())
        .to.contain('the admin key of admin.key is not this gateway’s')
        .and.contain(`login --url ${house.url}`)
        .and.contain('--admin-key-file')
        .and.not.contain('key-of-another-gateway');
      const given = terminal({ environment: { adminKey: 'wrong' } });
      expect(await given.run('admin', 'users', 'list', '--json')).to.equal(77);
      expect(JSON.parse(given.err())).to.have.nested.property('error.code', 'wrong_admin_key');
      expect(given.err()).to.contain('SLUICE_ADMIN_KEY');
    }));

  it('77 without an admin key and without a login', () =>
    inFolder(async (terminal) => {
      const one = terminal();
      expect(await one.run('admin', 'clients', 'list')).to.equal(77);
      expect(one.err()).to.contain('--admin-key-file');
    }));
});
