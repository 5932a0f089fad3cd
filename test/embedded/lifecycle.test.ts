import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { findErrno } from '../../server/embedded/errors.ts';
import { createSandbox, isRunning, query, refusal, untilActive, type Sandbox } from './sandbox.ts';

describe('embedded PostgreSQL: starting and stopping', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await createSandbox();
  });
  afterEach(async () => sandbox.dispose());

  it('creates the cluster at the first start and keeps the data for the second', async () => {
    const first = await sandbox.start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.close();

    const second = await sandbox.start();

    expect(await query(second.url, 'SELECT answer FROM kept')).to.deep.equal([{ answer: 42 }]);
    expect(
      sandbox.lines.filter((line) => line.startsWith('creating the database cluster in')),
    ).to.have.length(1);
    expect(sandbox.lines.at(-1)).to.match(/^PostgreSQL 18\.\d+ ready on 127\.0\.0\.1:\d+$/);
  });

  it('[P1] runs with durable settings, UTF-8, UTC, and listens on 127.0.0.1 only', async () => {
    const { url } = await sandbox.start();
    const settings = await query<{ name: string; setting: string }>(
      url,
      `SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name`,
      [['fsync', 'synchronous_commit', 'listen_addresses', 'TimeZone', 'max_connections', 'server_encoding']],
    );

    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).to.deep.equal({
      fsync: 'on',
      synchronous_commit: 'on',
      listen_addresses: '127.0.0.1',
      TimeZone: 'UTC',
      max_connections: '100',
      server_encoding: 'UTF8',
    });
    expect(
      await query(
        url,
        `SELECT lower('ËÇ') AS low, datlocprovider AS provider FROM pg_database WHERE datname = 'sluice'`,
      ),
    ).to.deep.equal([{ low: 'ëç', provider: 'b' }]);
  });

  it('keeps the folder and the password to its owner, and refuses another password', async () => {
    const { url } = await sandbox.start();
    const mode = async (name: string) => ((await stat(join(sandbox.dataDir, name))).mode & 0o777).toString(8);

    expect([
      await mode('postgres'),
      await mode('postgres.password'),
      await mode('postgres.log'),
    ]).to.deep.equal(['700', '600', '600']);
    const wrong = new URL(url);
    wrong.password = 'guess';
    expect(await query(wrong.href, 'SELECT 1').catch(findErrno)).to.equal('28P01');
    expect(await readFile(join(sandbox.dataDir, 'postgres.log'), 'utf8')).not.to.contain(
      new URL(url).password,
    );
  });

  it('refuses a second starter while the first one lives, in this process or another', async () => {
    const owner = await sandbox.spawnOwner();

    expect(await refusal(sandbox.start())).to.equal('data_dir_in_use');
    expect(await query(owner.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
  });

  it('closes once, however often it is asked, and frees the folder', async () => {
    const database = await sandbox.start();
    const { pid } = database;

    await Promise.all([database.close(), database.close()]);
    await database.close();

    expect(isRunning(pid)).to.equal(false);
    expect(await refusal(sandbox.start())).to.equal('started');
  });

  it('stops although a client holds a transaction open', async () => {
    const database = await sandbox.start();
    const held = query(database.url, 'SELECT pg_sleep(600)').catch(findErrno);
    await untilActive(database.url, 'SELECT pg_sleep');
    await database.close();

    expect(await held).to.equal('57P01');
  });

  it('works in a folder with spaces, quotes, colons and letters, and in one too deep for a socket', async () => {
    for (const name of ['mit Leerzeichen, "ë" \'q\'', 'a:b', join('d'.repeat(90), 'e'.repeat(90))]) {
      const dataDir = join(sandbox.root, name);
      await mkdir(dataDir, { recursive: true });
      const database = await sandbox.start({ dataDir });
      expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
      await database.close();
    }
  });

  it('makes a new password when the file was lost', async () => {
    const first = await sandbox.start();
    await first.close();
    await rm(join(sandbox.dataDir, 'postgres.password'));

    const second = await sandbox.start();

    expect(new URL(second.url).password).not.to.equal(new URL(first.url).password);
    expect(await query(second.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
  });
});
