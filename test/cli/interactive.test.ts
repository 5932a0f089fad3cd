import { expect } from 'chai';
import { until } from '../sdk/support.ts';
import type { FakeHouse } from './fake-house.ts';
import { ANA, PASSWORD, startFakeHouse } from './fake-house.ts';
import type { Terminal } from './terminal.ts';
import { createTerminal, withFolder } from './terminal.ts';

const ENTER = '\r';
const CTRL_C = '\u0003';

describe('the interactive session', () => {
  let house: FakeHouse;
  beforeEach(async () => {
    house = await startFakeHouse();
    house.presence = [
      { principal: 'u-ben', kind: 'user', name: 'ben', status: 'online', since: '2026-11-20T09:00:00Z' },
    ];
    house.write('general', 'ben', 'good morning');
  });
  afterEach(() => house.close());

  /** A terminal in which ana has logged in by typing, and the shell is open. */
  const inShell = (fn: (terminal: Terminal, ended: Promise<number>) => Promise<void>, ...argv: string[]) =>
    withFolder(async (configDir) => {
      const terminal = createTerminal({ url: house.url, configDir, tty: { columns: 80, rows: 24 } });
      const ended = terminal.run(...argv);
      await until(() => terminal.out().includes('You are not logged in'));
      terminal.type(ENTER);
      await until(() => terminal.out().includes('Username'));
      terminal.type(`ana${ENTER}`);
      await until(() => terminal.out().includes('Password'));
      terminal.type(`${PASSWORD}${ENTER}`);
      await until(() => terminal.out().includes('#general › '));
      await fn(terminal, ended);
      terminal.type(CTRL_C);
      expect(await ended).to.equal(0);
      await until(() => house.sockets() === 0);
    });

  it('logs in without echoing the password, shows the history and who is here', () =>
    inShell((terminal) => {
      expect(terminal.out()).to.not.contain(PASSWORD);
      expect(terminal.out()).to.contain('good morning').and.contain('here: ben');
      return Promise.resolve();
    }));

  it('says that a password was wrong, and asks again', () =>
    withFolder(async (configDir) => {
      const terminal = createTerminal({ url: house.url, configDir, tty: { columns: 80, rows: 24 } });
      const ended = terminal.run();
      await until(() => terminal.out().includes('Log in'));
      terminal.type(ENTER);
      await until(() => terminal.out().includes('Username'));
      terminal.type(`ana${ENTER}`);
      await until(() => terminal.out().includes('Password'));
      terminal.type(`wrong secret${ENTER}`);
      await until(() => terminal.out().includes('invalid_credentials'));
      terminal.type(CTRL_C);
      expect(await ended).to.equal(0);
      expect(terminal.out()).to.contain('Goodbye').and.not.contain('wrong secret');
    }));

  it('sends what is typed, shows what others write, and who is typing', () =>
    inShell(async (terminal) => {
      terminal.type(`hello ben${ENTER}`);
      await until(() => house.messages.at(-1)?.body === 'hello ben');
      await until(() => terminal.out().includes('ana  hello ben'));
      house.write('general', 'ben', 'hello ana');
      await until(() => terminal.out().includes('ben  hello ana'));
      house.emit('typing', { room: 'general', from: { id: 'u-ben', username: 'ben' } });
      await until(() => terminal.out().includes('ben is typing…'));
    }));

  it('keeps what is being typed when lines arrive', () =>
    inShell(async (terminal) => {
      terminal.type('half a sen');
      await until(() => terminal.out().includes('half a sen'));
      house.write('general', 'ben', 'interrupting');
      await until(() =>
        /interrupting[^]*#general[^]*› half a sen$/.test(terminal.out().replace(CONTROLS, '')),
      );
      terminal.type(`tence${ENTER}`);
      await until(() => house.messages.at(-1)?.body === 'half a sentence');
    }));

  it('runs its commands, by their beginning too, and completes them', () =>
    inShell(async (terminal) => {
      terminal.type(`/st busy lunch${ENTER}`);
      await until(() => house.statuses.length === 1);
      terminal.type('/wa\t');
      await until(() => terminal.out().includes('/watch '));
      terminal.type(`sto\t${ENTER}`);
      await until(() => terminal.out().includes('watching stoku'));
      house.change({ collection: 'stoku', id: 'uk:1', data: { sku: '85123A', quantity: 34 } });
      await until(() => terminal.out().includes('stock 85123A  +34 → 34'));
      terminal.type(`/watch off${ENTER}`);
      await until(() => terminal.out().includes('Not watching'));
      terminal.type(`/nonsense${ENTER}`);
      await until(() => terminal.out().includes('There is no command /nonsense'));
      terminal.type(`/w x${ENTER}`);
      await until(() => terminal.out().includes('/w is /watch or /who: write one more letter.'));
    }));

  it('makes a room’s name of its title, or says in plain words what a name is', () =>
    inShell(async (terminal) => {
      terminal.type(`/create Depo e Tiranës${ENTER}`);
      await until(() => terminal.out().includes('#depo-e-tiranes › '));
      expect(house.created).to.deep.equal([{ room: 'depo-e-tiranes', title: 'Depo e Tiranës' }]);
      terminal.type(`/create sales The sales${ENTER}`);
      await until(() => terminal.out().includes('#sales › '));
      expect(house.created[1]).to.deep.equal({ room: 'sales', title: 'The sales' });
      terminal.type(`/create ***${ENTER}`);
      await until(() => terminal.out().includes('A room needs a name of letters or digits'));
    }));

  it('counts what is too fast to read', () =>
    inShell(async (terminal) => {
      terminal.type(`/watch${ENTER}`);
      await until(() => terminal.out().includes('watching fatura'));
      for (let n = 0; n < 50; n += 1)
        house.change({ collection: 'fatura', id: `i${n}`, data: { number: `${n}` } });
      await until(() => terminal.out().includes('… and 42 more (42 fatura)'));
    }));

  it('[P7] ends with 77 when the session is ended elsewhere', () =>
    withFolder(async (configDir) => {
      const pipe = createTerminal({ url: house.url, configDir });
      pipe.type(`${PASSWORD}\n`);
      await pipe.run('login', ANA.username, '--password-stdin');
      const terminal = createTerminal({ url: house.url, configDir, tty: { columns: 80, rows: 24 } });
      const ended = terminal.run('chat');
      await until(() => terminal.out().includes('#general › '));
      house.refuseAll();
      house.cut();
      expect(await ended).to.equal(77);
    }));
});

const CONTROLS = /\u001b\[[\d;]*[A-Za-z]/g;
