import { expect } from 'chai';
import { createPerson } from '../auth/support/client.ts';
import type { Person } from '../auth/support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { until } from '../support/sync-gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const INVITE = ['admin', 'invitations', 'create', '--email', 'new@example.com'];

describe('[S38] administration from the shell, at a real gateway', () => {
  let gateway: Gateway;
  let owner: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    owner = await createPerson(gateway);
  });
  afterEach(() => gateway.close());

  const open = (configDir: string, isTty = true): Terminal =>
    createTerminal({ url: gateway.url, configDir, ...(isTty && { tty: { columns: 100, rows: 24 } }) });
  const typePassword = async (terminal: Terminal, argv: string[]): Promise<number> => {
    const running = terminal.run(...argv);
    await until('Password', () => terminal.out().includes('Password'));
    terminal.type(`${PASSWORD}\r`);
    return running;
  };

  it('asks for nothing right after a login', () =>
    withFolder(async (folder) => {
      await typePassword(open(folder), ['login', owner.username]);
      const terminal = open(folder, false);
      expect(await terminal.run(...INVITE, '--json'), terminal.err()).to.equal(0);
    }));

  it('asks for the password again later, and goes on', () =>
    withFolder(async (folder) => {
      await typePassword(open(folder), ['login', owner.username]);
      gateway.clock.advance(11 * 60_000);
      const terminal = open(folder);
      expect(await typePassword(terminal, INVITE), terminal.err()).to.equal(0);
      expect(terminal.out()).to.contain('Invited new@example.com').and.not.contain(PASSWORD);
    }));

  it('says what to do where nobody can be asked, and where a browser let the terminal in', () =>
    withFolder(async (folder) => {
      await typePassword(open(folder), ['login', owner.username]);
      gateway.clock.advance(11 * 60_000);
      const alone = open(folder, false);
      expect(await alone.run(...INVITE)).to.equal(77);
      expect(alone.err()).to.contain('a proof of who you are').and.contain('login <name>');
      await gateway.db.sql(`UPDATE sessions SET client_id = 'sluice-cli'`);
      gateway.clock.advance(6_000);
      const lent = open(folder);
      expect(await typePassword(lent, INVITE)).to.equal(77);
      expect(lent.err()).to.contain('login <name>');
    }));

  it('asks nobody who gives the admin key', () =>
    withFolder(async (folder) => {
      await typePassword(open(folder), ['login', owner.username]);
      gateway.clock.advance(11 * 60_000);
      const environment = { adminKey: ADMIN_KEY };
      const keyed = createTerminal({ url: gateway.url, configDir: folder, environment });
      expect(await keyed.run(...INVITE), keyed.err()).to.equal(0);
    }));
});
