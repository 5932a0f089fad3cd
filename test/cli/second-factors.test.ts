import { expect } from 'chai';
import { call, createPerson, logIn } from '../auth/support/client.ts';
import type { Person } from '../auth/support/client.ts';
import { STEP_MS, codeOf, createGuarded, enableTotp } from '../auth/support/factors.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { until } from '../support/sync-gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const ENTER = '\r';
const REMOVE = ['admin', 'users', 'remove-second-factors'];

describe('second factors from the shell, at a real gateway', () => {
  let gateway: Gateway;
  let owner: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    owner = await createPerson(gateway);
  });
  afterEach(() => gateway.close());

  const open = (configDir: string, isTty = true): Terminal =>
    createTerminal({ url: gateway.url, configDir, ...(isTty && { tty: { columns: 100, rows: 24 } }) });
  /** Runs a command and answers its questions, each with what its text asks for. */
  const ask = async (terminal: Terminal, argv: string[], answers: [string, string][]): Promise<number> => {
    const running = terminal.run(...argv);
    for (const [question, answer] of answers) {
      await until(question, () => terminal.out().includes(question));
      terminal.type(`${answer}${ENTER}`);
    }
    return running;
  };
  const logInAs = (folder: string, name: string): Promise<number> =>
    ask(open(folder), ['login', name], [['Password', PASSWORD]]);

  it('a login asks for the second step, and keeps the session', () =>
    withFolder(async (folder) => {
      const { person, secret } = await createGuarded(gateway);
      const terminal = open(folder);
      const code = codeOf(gateway, secret);
      const steps: [string, string][] = [
        ['Password', PASSWORD],
        ['authenticator app', code],
      ];
      expect(await ask(terminal, ['login', person.username], steps), terminal.err()).to.equal(0);
      expect(terminal.out()).to.contain(`Logged in as ${person.username}`).and.not.contain(PASSWORD);
      const next = open(folder, false);
      expect(await next.run('whoami', '--json'), next.err()).to.equal(0);
    }));

  it('a wrong code in the second step ends with what is wrong', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      const terminal = open(folder);
      const steps: [string, string][] = [
        ['Password', PASSWORD],
        ['authenticator app', '000000'],
      ];
      expect(await ask(terminal, ['login', person.username], steps)).to.equal(1);
      expect(terminal.err()).to.contain('The code is wrong');
    }));

  it('an administrator turns off somebody’s, at once after a login', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      expect(await logInAs(folder, owner.username)).to.equal(0);
      const terminal = open(folder, false);
      const code = await terminal.run(...REMOVE, '--username', person.username.toUpperCase(), '--json');
      expect(code, terminal.err()).to.equal(0);
      expect(JSON.parse(terminal.out())).to.deep.equal({
        user: person.id,
        removed: { totp: true, passkeys: 0 },
        ended: 1,
      });
      expect((await logIn(gateway, person.username)).access).to.match(/^ey/);
    }));

  it('[S38] later it asks for the password again; without a terminal it says so', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      await logInAs(folder, owner.username);
      gateway.clock.advance(11 * 60_000);
      const argv = [...REMOVE, '--email', person.email];
      const alone = open(folder, false);
      expect([await alone.run(...argv), alone.err().includes('login <name>')]).to.deep.equal([77, true]);
      const terminal = open(folder);
      expect(await ask(terminal, argv, [['Password', PASSWORD]]), terminal.err()).to.equal(0);
      expect(terminal.out()).to.contain(`${person.username} logs in with the password alone now; 1 session`);
    }));

  it('[S38] whoever has a second factor is asked for that', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      await logInAs(folder, owner.username);
      const { secret } = await enableTotp(gateway, (await logIn(gateway, owner.username)).access);
      gateway.clock.advance(STEP_MS);
      const terminal = open(folder);
      const steps: [string, string][] = [['authenticator app', codeOf(gateway, secret)]];
      const argv = [...REMOVE, '--username', person.username];
      expect(await ask(terminal, argv, steps), terminal.err()).to.equal(0);
    }));

  it('[S38] it is nothing for a key, and nothing for a terminal that was let in from a browser', () =>
    withFolder(async (folder) => {
      const { person } = await createGuarded(gateway);
      const argv = [...REMOVE, '--username', person.username];
      const keyed = createTerminal({
        url: gateway.url,
        configDir: folder,
        environment: { adminKey: ADMIN_KEY },
      });
      expect(await keyed.run(...argv)).to.equal(77);
      await logInAs(folder, owner.username);
      await gateway.db
        .sql(`UPDATE sessions SET authenticated_at = 'epoch', amr = '{}', client_id = 'sluice-cli'
                            WHERE principal_id = '${owner.id}'`);
      gateway.clock.advance(6_000);
      const terminal = open(folder);
      expect(await ask(terminal, argv, [['Password', PASSWORD]])).to.equal(77);
      expect(terminal.err()).to.contain('login <name>');
      const still = await call(gateway, '/api/login', {
        json: { username: person.username, password: PASSWORD },
      });
      expect(still.body['code']).to.equal('mfa_required');
    }));

  it('names one person, who is there', () =>
    withFolder(async (folder) => {
      await logInAs(folder, owner.username);
      const terminal = open(folder, false);
      expect(await terminal.run(...REMOVE)).to.equal(2);
      expect(await terminal.run(...REMOVE, '--username', 'a', '--email', 'b')).to.equal(2);
      expect(await terminal.run(...REMOVE, '--username', 'nobody')).to.equal(1);
      expect(await terminal.run(...REMOVE, '--username', owner.username)).to.equal(77);
    }));
});
