import { expect } from 'chai';
import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withFileLock } from '../../client-cli/file-lock.ts';
import { createSessionFile } from '../../client-cli/session-file.ts';
import { createSharedSession } from '../../client-cli/shared-session.ts';
import type { Session } from '../../sdk/index.ts';
import type { FakeHouse } from './fake-house.ts';
import { PASSWORD, startFakeHouse } from './fake-house.ts';
import { withFolder } from './terminal.ts';

describe('the session of the terminal client', () => {
  let house: FakeHouse;
  beforeEach(async () => {
    house = await startFakeHouse();
  });
  afterEach(() => house.close());

  const open = (folder: string, now = Date.now): Session =>
    createSharedSession({ baseUrl: house.url, file: createSessionFile(folder, house.url), now });

  it('is a file of mode 0600 in a folder of mode 0700, replaced atomically', () =>
    withFolder(async (folder) => {
      await open(folder).login({ username: 'ana', password: PASSWORD });
      const { path } = createSessionFile(folder, house.url);
      expect((await stat(path)).mode & 0o777).to.equal(0o600);
      expect((await stat(dirname(path))).mode & 0o777).to.equal(0o700);
      expect(await readdir(dirname(path))).to.have.length(1);
      expect(await readFile(path, 'utf8')).to.not.contain(PASSWORD);
    }));

  it('keeps gateways apart', () =>
    withFolder(async (folder) => {
      await open(folder).login({ username: 'ana', password: PASSWORD });
      const other = createSessionFile(folder, 'https://other.example/base');
      expect(await other.read()).to.equal(undefined);
      expect(createSessionFile(folder, 'https://other.example/').path).to.not.equal(other.path);
    }));

  it('shares one access token: a second process need not refresh', () =>
    withFolder(async (folder) => {
      await open(folder).login({ username: 'ana', password: PASSWORD });
      const second = open(folder);
      expect((await second.restore())?.username).to.equal('ana');
      await second.request('GET', '/auth/me');
      expect(house.refreshes).to.equal(0);
    }));

  it('[S13] never sends a refresh token twice, however many refresh at once', () =>
    withFolder(async (folder) => {
      await open(folder).login({ username: 'ana', password: PASSWORD });
      house.refreshMs = 30;
      const late = (): number => Date.now() + 20 * 60_000;
      const sessions = Array.from({ length: 8 }, () => open(folder, late));
      const tokens = await Promise.all(sessions.map((session) => session.getAccessToken()));
      expect(new Set(tokens)).to.have.length(1);
      await Promise.all(sessions.map((session) => session.getAccessToken({ forceRefresh: true })));
      expect(house.reused).to.equal(0);
      const saved = await createSessionFile(folder, house.url).read();
      expect((await open(folder, late).restore())?.username, JSON.stringify(saved)).to.equal('ana');
    }));

  it('forgets a session that the gateway has ended, but not another process’s new one', () =>
    withFolder(async (folder) => {
      const first = open(folder);
      await first.login({ username: 'ana', password: PASSWORD });
      house.refuseAll();
      const file = createSessionFile(folder, house.url);
      await first.request('GET', '/auth/me').catch(() => undefined);
      expect(await file.read()).to.equal(undefined);
      await first.login({ username: 'ana', password: PASSWORD });
      await open(folder).login({ username: 'ana', password: PASSWORD });
      await first.logout();
      expect(await file.read()).to.not.equal(undefined);
    }));

  it('counts a damaged file as none', () =>
    withFolder(async (folder) => {
      const session = open(folder);
      await session.login({ username: 'ana', password: PASSWORD });
      await writeFile(createSessionFile(folder, house.url).path, '{"refreshTok');
      expect(await open(folder).restore()).to.equal(undefined);
    }));
});

describe('the file lock', () => {
  it('lets one in at a time', () =>
    withFolder(async (folder) => {
      let inside = 0;
      let most = 0;
      const work = async (): Promise<void> => {
        most = Math.max(most, (inside += 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
        inside -= 1;
      };
      await Promise.all(Array.from({ length: 10 }, () => withFileLock(join(folder, 'x'), work)));
      expect(most).to.equal(1);
    }));

  it('takes over the lock of a process that died, and one that is too old', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'x');
      await writeFile(`${path}.lock`, '999999999');
      expect(await withFileLock(path, () => Promise.resolve('dead'))).to.equal('dead');
      await writeFile(`${path}.lock`, String(process.pid));
      await utimes(`${path}.lock`, 1, 1);
      expect(await withFileLock(path, () => Promise.resolve('old'))).to.equal('old');
      expect(await readdir(folder)).to.deep.equal([]);
    }));
});
