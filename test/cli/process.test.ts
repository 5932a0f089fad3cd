import { expect } from 'chai';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { until } from '../sdk/support.ts';
import type { FakeHouse } from './fake-house.ts';
import { PASSWORD, startFakeHouse } from './fake-house.ts';
import { withFolder } from './terminal.ts';

describe('the terminal client as a process', () => {
  let house: FakeHouse;
  beforeEach(async () => {
    house = await startFakeHouse();
  });
  afterEach(async () => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    await house.close();
  });

  const started: ChildProcessWithoutNullStreams[] = [];
  const start = (folder: string, ...argv: string[]): ChildProcessWithoutNullStreams => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'client-cli/main.ts', ...argv], {
      env: { SLUICE_CONFIG_DIR: folder, SLUICE_URL: house.url, DATA_DIR: folder },
    });
    started.push(child);
    return child;
  };

  const login = async (folder: string): Promise<void> => {
    const child = start(folder, 'login', 'ana', '--password-stdin');
    child.stdin.end(`${PASSWORD}\n`);
    expect((await outcome(child)).code).to.equal(0);
  };

  it('[S13] logs in and shares the session among processes that refresh at once', () =>
    withFolder(async (folder) => {
      house.accessSeconds = 20;
      house.refreshMs = 200;
      await login(folder);
      const children = Array.from({ length: 4 }, () => outcome(start(folder, 'whoami', '--json')));
      const outcomes = await Promise.all(children);
      expect(outcomes.map(({ code }) => code)).to.deep.equal([0, 0, 0, 0]);
      expect(house.refreshes).to.be.at.least(1);
      expect(house.reused).to.equal(0);
    }));

  it('keeps the password out of its arguments, its environment and its output', () =>
    withFolder(async (folder) => {
      const child = start(folder, 'login', 'ana', '--password-stdin');
      const seen = await Promise.all(
        ['cmdline', 'environ'].map((file) => readFile(`/proc/${child.pid}/${file}`, 'utf8').catch(() => '')),
      );
      child.stdin.end(`${PASSWORD}\n`);
      const { code, out, err } = await outcome(child);
      expect(code).to.equal(0);
      expect([...seen, out, err].join()).to.not.contain(PASSWORD);
    }));

  it('without arguments and without a terminal: the help, and 2', () =>
    withFolder(async (folder) => {
      const { code, out, err } = await outcome(start(folder));
      expect({ code, out }).to.deep.equal({ code: 2, out: '' });
      expect(err).to.contain('Usage: sluice');
    }));

  it('ends a watch at SIGINT with 0, and when its reader goes away', () =>
    withFolder(async (folder) => {
      await login(folder);
      const first = start(folder, 'watch', 'fatura');
      await until(() => house.sockets() === 1);
      first.kill('SIGINT');
      expect((await outcome(first)).code).to.equal(0);
      await until(() => house.sockets() === 0);
      const second = start(folder, 'watch', 'fatura');
      const ended = outcome(second);
      await until(() => house.sockets() === 1);
      second.stdout.destroy();
      house.change({ collection: 'fatura', id: '1', data: { number: '1' } });
      expect((await ended).code).to.equal(0);
    }));

  it('77 when nobody is logged in', () =>
    withFolder(async (folder) => {
      expect((await outcome(start(folder, 'status'))).code).to.equal(77);
    }));
});

function outcome(
  child: ChildProcessWithoutNullStreams,
): Promise<{ code: number | null; out: string; err: string }> {
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}
