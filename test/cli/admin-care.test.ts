import { expect } from 'chai';
import { call, createClient, createPerson, logIn } from '../auth/support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';

interface Outcome {
  code: number;
  out: string;
  err: string;
}

describe('care of people and clients from the shell, at a real gateway', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const admin = async (...argv: string[]): Promise<Outcome> => {
    let outcome: Outcome = { code: -1, out: '', err: '' };
    await withFolder(async (configDir) => {
      const terminal = createTerminal({ url: gateway.url, configDir, environment: { adminKey: ADMIN_KEY } });
      const code = await terminal.run('admin', ...argv);
      outcome = { code, out: terminal.out(), err: terminal.err() };
    });
    return outcome;
  };

  describe('people', () => {
    it('are disabled, which ends their sessions, and brought back', async () => {
      await createPerson(gateway);
      const person = await createPerson(gateway);
      const { access } = await logIn(gateway, person.username);
      const off = await admin('users', 'disable', '--username', person.username);
      expect([off.code, off.out]).to.deep.equal([
        0,
        `${person.username} is disabled: no login any more, and every session has ended.\n`,
      ]);
      expect((await call(gateway, '/auth/me', { bearer: access })).status).to.equal(401);
      expect((await admin('users', 'list')).out).to.match(new RegExp(`${person.username} .*disabled`));
      const on = await admin('users', 'enable', '--username', person.username);
      expect([on.code, on.out]).to.deep.equal([0, `${person.username} may log in again.\n`]);
      const json = { username: person.username, password: PASSWORD };
      expect((await call(gateway, '/api/login', { json })).status).to.equal(200);
    });

    it('the last owner stays, and no hint sends anybody to an administrator', async () => {
      const owner = await createPerson(gateway);
      const refused = await admin('users', 'disable', '--username', owner.username);
      expect(refused.code).to.equal(77);
      expect(refused.err).to.equal('error: The last owner stays: make somebody else an owner first.\n');
    });
  });

  describe('clients', () => {
    it('are disabled, enabled, and changed: partitions, scopes, addresses, rate, name', async () => {
      const { clientId } = await createClient(gateway, { name: 'Branch 12' });
      expect((await admin('clients', 'disable', clientId)).code).to.equal(0);
      const on = await admin('clients', 'enable', clientId);
      expect([on.code, on.out]).to.deep.equal([0, 'Enabled Branch 12: its secret works again.\n']);
      const changes = [
        '--partition',
        'branch-13',
        '--scope',
        'sync:read',
        '--ip',
        '10.0.0.0/8',
        '--rate',
        '90',
      ];
      const changed = await admin('clients', 'update', clientId, ...changes, '--name', 'Branch 13', '--json');
      expect(JSON.parse(changed.out)).to.deep.include({
        ...{ name: 'Branch 13', partitions: ['branch-13'], scopes: ['sync:read'] },
        ...{ ipAllowList: ['10.0.0.0/8'], ratePerMinute: 90, disabled: false },
      });
      const freed = await admin(
        'clients',
        'update',
        clientId,
        '--any-ip',
        '--no-partitions',
        '--no-rate',
        '--json',
      );
      expect(JSON.parse(freed.out)).to.deep.include({ ipAllowList: [], partitions: [], ratePerMinute: null });
      expect((await admin('clients', 'update', clientId)).code).to.equal(2);
    });

    it('a second one of the same name is made, and that is said', async () => {
      const { clientId } = await createClient(gateway, { name: 'Branch 12' });
      const made = await admin('clients', 'create', '--name', 'Branch 12');
      expect(made.code).to.equal(0);
      expect(made.err).to.include(`warning: ${clientId} is called Branch 12 too`);
    });

    it('a secret made for a disabled one says that it is disabled', async () => {
      const { clientId } = await createClient(gateway);
      await admin('clients', 'disable', clientId);
      const rotated = await admin('clients', 'rotate', clientId);
      expect(rotated.code).to.equal(0);
      expect(rotated.err).to.include('is disabled').and.include(`admin clients enable ${clientId}`);
    });
  });

  describe('refusals', () => {
    it('speak of commands, not of the API', async () => {
      const person = await createPerson(gateway);
      const unknown = await admin('users', 'grant', '--username', person.username, '--role', 'clark');
      expect(unknown.err).to.include('npm run sluice -- admin roles list').and.not.include('/api/');
      await admin('ip-rules', 'allow', '127.0.0.1/32');
      const locked = await admin('ip-rules', 'deny', '127.0.0.0/8');
      expect(locked.err).to.include('--force').and.not.include('force: true');
      const nowhere = await admin('clients', 'create', '--name', 'x', '--tenant-id', '7');
      expect(nowhere.err).to.include('admin tenants create').and.not.include('/api/');
    });

    it('built-in roles stay, without a hint; a role that only an invitation names says so', async () => {
      await createPerson(gateway);
      const builtIn = await admin('roles', 'delete', 'member');
      expect(builtIn.err).to.equal('error: Built-in roles stay as they are.\n');
      await admin('roles', 'create', 'clerk', '--scope', 'chat');
      await admin('invitations', 'create', '--email', 'new@example.com', '--role', 'clerk');
      const invited = await admin('roles', 'delete', 'clerk');
      expect(invited.err).to.include('An invitation to new@example.com names that role: withdraw it first.');
    });

    it('a grant with another word than "read" behind its colon is none', async () => {
      await createPerson(gateway);
      const typo = await admin('clients', 'create', '--name', 'x', '--partition', 'branch-12:reed');
      expect(typo.code).to.equal(1);
      expect(typo.err).to.include('branch-12:read').and.include('only ":read" may follow');
      expect((await admin('clients', 'create', '--name', 'x', '--partition', '*:write')).code).to.equal(1);
    });
  });

  it('tenants are made, listed and renamed', async () => {
    const made = await admin('tenants', 'create', 'Second');
    const number = /^Created the tenant Second: its number is (\d+)\.\n$/.exec(made.out)?.[1] ?? '';
    expect([made.code, Number(number) > 1]).to.deep.equal([0, true]);
    const renamed = await admin('tenants', 'rename', '1', 'Depot Tirana');
    expect([renamed.code, renamed.out]).to.deep.equal([0, 'Tenant 1 is called Depot Tirana now.\n']);
    expect((await admin('tenants', 'list')).out)
      .to.match(/1 +Depot Tirana/)
      .and.match(new RegExp(`${number} +Second`));
  });
});
