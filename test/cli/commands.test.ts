import { expect } from 'chai';
import { until } from '../sdk/support.ts';
import type { FakeHouse } from './fake-house.ts';
import { PASSWORD, startFakeHouse } from './fake-house.ts';
import type { Terminal, TerminalOptions } from './terminal.ts';
import { createTerminal, withFolder } from './terminal.ts';

describe('the commands of the terminal client', () => {
  let house: FakeHouse;
  beforeEach(async () => {
    house = await startFakeHouse();
    house.records = [
      stock('uk:1', { sku: '85123A', quantity: 40 }),
      stock('uk:2', { sku: '71053', quantity: 6 }),
    ];
    house.presence = [
      { principal: 'u-ben', kind: 'user', name: 'ben', status: 'away', since: '2026-11-20T09:00:00Z' },
      {
        ...{ principal: 'c1', kind: 'client', name: 'Branch 12', status: 'online' },
        ...{ since: '2026-11-20T09:00:00Z', queue: 12, lag: 3 },
      },
    ];
  });
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

  it('signs up, verifies, and says what to do next', () =>
    inFolder(async (terminal) => {
      const one = terminal();
      one.type(`${PASSWORD}\r\n`);
      expect(await one.run('signup', '--username', 'ana', '--email', 'a@b.c', '--password-stdin')).to.equal(
        0,
      );
      expect(one.out()).to.contain('verify <code> --username ana').and.not.contain(PASSWORD);
      expect(house.calls[0]?.body['password']).to.equal(PASSWORD);
      expect(await terminal().run('verify', '123456', '--email', 'a@b.c')).to.equal(0);
      expect(await terminal().run('verify', '000000', '--username', 'ana')).to.equal(1);
      expect(await terminal().run('verify', '--resend', '--email', 'a@b.c')).to.equal(0);
    }));

  it('shows each fault of what was sent, a line each; as objects with --json', () =>
    inFolder(async (terminal) => {
      const signup = ['signup', '--username', 'ana', '--email', 'nowhere', '--password-stdin'];
      const one = terminal();
      one.type('short\n');
      expect(await one.run(...signup)).to.equal(1);
      expect(one.err()).to.equal(
        'error: The request is not valid.\n  email: write an e-mail address\n  password: at least 8 characters\n',
      );
      const two = terminal();
      two.type('short\n');
      expect(await two.run(...signup, '--json')).to.equal(1);
      expect(JSON.parse(two.err())).to.have.nested.property('error.errors[1].path', 'password');
    }));

  it('77 and a hint when nobody is logged in, or the password is wrong', () =>
    inFolder(async (terminal) => {
      const one = terminal();
      expect(await one.run('whoami')).to.equal(77);
      expect(one.err()).to.contain('npm run sluice -- login');
      const two = terminal();
      two.type('wrong\n');
      expect(await two.run('login', 'ana', '--password-stdin', '--json')).to.equal(77);
      expect(two.out()).to.equal('');
      expect(JSON.parse(two.err())).to.have.nested.property('error.code', 'invalid_credentials');
    }));

  it('69 and a hint when there is no gateway', () =>
    inFolder(async (terminal) => {
      const one = terminal({ url: 'http://127.0.0.1:9' });
      one.type('x\n');
      expect(await one.run('login', 'ana', '--password-stdin')).to.equal(69);
      expect(one.err()).to.contain('npm start');
    }));

  it('2 for a wrong command line, and for a question without a terminal', () =>
    inFolder(async (terminal) => {
      const one = terminal();
      for (const argv of [
        ['nonsense'],
        ['watch', '--limit', 'x'],
        ['login'],
        ['--url', 'ftp://x', 'whoami'],
        [],
      ])
        expect(await one.run(...argv), argv.join(' ')).to.equal(2);
      expect(await one.run('login', 'ana')).to.equal(2);
      expect(one.err()).to.contain('give --password-stdin');
      expect(one.out()).to.equal('');
      expect(await one.run('--help')).to.equal(0);
      expect(one.out()).to.contain('Exit codes');
    }));

  it('whoami, and logout at the gateway as well as here', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      expect(await one.run('whoami', '--json')).to.equal(0);
      expect(JSON.parse(one.out())).to.have.nested.property('user.username', 'ana');
      expect(await terminal().run('logout')).to.equal(0);
      expect(house.calls.at(-1)?.path).to.equal('/auth/logout');
      expect(await terminal().run('whoami')).to.equal(77);
    }));

  it('lists records and shows one, from a snapshot', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      expect(await one.run('records', 'stoku', '--limit', '1', '--json')).to.equal(0);
      expect(JSON.parse(one.out())).to.deep.equal({
        collection: 'stoku',
        records: [house.records[0]],
        more: true,
      });
      const two = terminal();
      expect(await two.run('get', 'stoku', 'uk:2', '--json')).to.equal(0);
      expect(JSON.parse(two.out())).to.deep.equal(house.records[1]);
      expect(await terminal().run('get', 'stoku', 'none')).to.equal(1);
      expect(await terminal().run('records', 'secrets')).to.equal(77);
    }));

  it('watches: progress, changes, a cut connection, the end by Ctrl-C', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      const ended = one.run('watch', 'stoku');
      await until(() => one.err().includes('reading records: 2'));
      house.change({ collection: 'stoku', id: 'uk:1', data: { sku: '85123A', quantity: 34 } });
      await until(() => one.out().includes('stock 85123A  −6 → 34'));
      house.cut();
      await until(() => one.err().includes('not connected') && house.sockets() === 1);
      house.change({ collection: 'stoku', id: 'uk:2', op: 'delete' });
      await until(() => one.out().includes('stock uk:2  deleted'));
      one.interrupt();
      expect(await ended).to.equal(0);
      await until(() => house.sockets() === 0);
    }));

  it('watches: what is refused is told once', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      expect(await one.run('watch', 'secrets')).to.equal(77);
      expect(one.err())
        .to.match(/^error: /)
        .and.not.contain('refused:');
    }));

  it('watches as NDJSON, without the snapshot, up to a limit', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      const ended = one.run('watch', '--json', '--since-start', '--limit', '2');
      await until(() => one.out().includes('"live"'));
      for (const id of ['1', '2', '3']) house.change({ collection: 'fatura', id, data: { number: id } });
      expect(await ended).to.equal(0);
      const lines = one
        .out()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { type: string; id?: string });
      expect(lines.map((line) => line.id ?? line.type)).to.deep.equal(['state', '1', '2']);
      expect(one.err()).to.equal('');
    }));

  it('[P7] ends a watch with 77 when the session is ended', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      const ended = one.run('watch');
      await until(() => one.err().includes('connected'));
      house.refuseAll();
      house.cut();
      expect(await ended).to.equal(77);
    }));

  it('sends, reads and follows a room', () =>
    loggedIn(async (terminal) => {
      const follower = terminal();
      const followed = follower.run('chat', 'general', '--json');
      await until(() => house.sockets() === 1);
      expect(await terminal().run('chat', 'send', 'general', 'hello', 'there')).to.equal(0);
      await until(() => follower.out().includes('hello there'));
      follower.interrupt();
      expect(await followed).to.equal(0);
      const two = terminal();
      expect(await two.run('chat', 'history', 'general')).to.equal(0);
      expect(two.out()).to.match(/^\d\d:\d\d:\d\d ana {2}hello there\n$/);
    }));

  it('creates, joins and leaves rooms, and lists them', () =>
    loggedIn(async (terminal) => {
      expect(await terminal().run('room', 'create', 'sales', 'The', 'sales')).to.equal(0);
      const one = terminal();
      expect(await one.run('rooms')).to.equal(0);
      expect(one.out()).to.contain('#general').and.contain('#sales');
      expect(await terminal().run('room', 'leave', 'sales')).to.equal(0);
      expect(await terminal().run('room', 'join', 'sales')).to.equal(0);
    }));

  it('shows statuses with queue and lag, and sets one', () =>
    loggedIn(async (terminal) => {
      const one = terminal();
      expect(await one.run('status')).to.equal(0);
      expect(one.out()).to.match(/Branch 12 +agent +online +12 +3/);
      expect(await terminal().run('status', 'set', 'busy', 'until', 'noon')).to.equal(0);
      expect(house.statuses).to.deep.equal([{ status: 'busy', text: 'until noon' }]);
      expect(await terminal().run('status', 'set', 'asleep')).to.equal(2);
    }));
});

function stock(id: string, data: Record<string, unknown>): FakeHouse['records'][number] {
  return { collection: 'stoku', id, partition: 'united-kingdom', data, recordVersion: 1 };
}
