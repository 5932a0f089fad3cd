import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { EmbeddedPostgres } from '../../server/embedded/embedded-postgres.ts';
import { createSandbox, isRunning, query, until, untilActive, waitExit, type Sandbox } from './sandbox.ts';

describe('embedded PostgreSQL: faults', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await createSandbox();
  });
  afterEach(async () => sandbox.dispose());

  it('[F23] [P1] a SIGKILLed PostgreSQL comes back by itself with every committed row', async () => {
    const ends: (string | null)[] = [];
    const database = await sandbox.start({ onExit: ({ signal }) => ends.push(signal) });

    for (let round = 1; round <= 3; round += 1) {
      expect(await commitThenKill(database, 'on')).to.deep.equal({ acked: 50 * round, found: 50 * round });
    }
    expect(ends).to.deep.equal(['SIGKILL', 'SIGKILL', 'SIGKILL']);
  });

  it('[F23] known bad: with synchronous_commit off the same check sees rows missing', async () => {
    const database = await sandbox.start();
    await query(database.url, 'ALTER SYSTEM SET wal_writer_delay = 10000');
    await query(database.url, 'SELECT pg_reload_conf()');
    await commitThenKill(database, 'on');

    const { acked, found } = await commitThenKill(database, 'off');

    expect(found).to.be.lessThan(acked);
  });

  it('comes back although a child of the killed server is still busy', async () => {
    const database = await sandbox.start();
    const busy = query(database.url, 'DO $$ BEGIN LOOP END LOOP; END $$').catch(() => 'cut');
    await untilActive(database.url, 'DO ');

    await killAndWait(database);

    expect(await busy).to.equal('cut');
    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
  });

  it('does not linger when the gateway was SIGKILLed', async () => {
    const owner = await sandbox.spawnOwner();
    owner.child.kill('SIGKILL');
    await waitExit(owner.child);

    await until('PostgreSQL is gone', () => !isRunning(owner.pid));
  });

  it('stops the PostgreSQL of a SIGKILLed gateway and starts on its data', async () => {
    const owner = await sandbox.spawnOwner();
    await query(owner.url, 'CREATE TABLE kept AS SELECT 7 AS answer');
    await killWatchdog(owner.child.pid ?? 0);
    owner.child.kill('SIGKILL');
    await waitExit(owner.child);
    expect(isRunning(owner.pid)).to.equal(true);

    const database = await sandbox.start();

    expect(isRunning(owner.pid)).to.equal(false);
    expect(await query(database.url, 'SELECT answer FROM kept')).to.deep.equal([{ answer: 7 }]);
    expect(sandbox.lines.join('\n')).to.contain(`stopping a PostgreSQL (pid ${owner.pid})`);
  });

  it('is not fooled by locks whose process ids now belong to other programs', async () => {
    const database = await sandbox.start();
    await database.close();
    const stranger = spawn('sleep', ['600']);
    const lock = { token: 't', pid: stranger.pid, host: 'elsewhere', identity: await reusedIdentity() };
    await writeFile(join(sandbox.dataDir, 'gateway.lock'), JSON.stringify(lock));
    const stale = `${String(stranger.pid)}\n${join(sandbox.dataDir, 'postgres')}\n1\n5432\n\n127.0.0.1\n\nready\n`;
    await writeFile(join(sandbox.dataDir, 'postgres', 'postmaster.pid'), stale);

    const again = await sandbox.start();

    expect(await query(again.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect(isRunning(stranger.pid ?? 0)).to.equal(true);
    stranger.kill('SIGKILL');
  });

  it('recovers from an initdb that was killed half way', async () => {
    const half = join(sandbox.dataDir, 'postgres.new-1');
    await mkdir(join(half, 'base'), { recursive: true });
    await writeFile(join(half, 'PG_VERSION'), '18\n');

    const database = await sandbox.start();

    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect((await readdir(sandbox.dataDir)).filter((name) => name.startsWith('postgres.new-'))).to.deep.equal(
      [],
    );
  });

  it('recovers when the gateway is SIGKILLed while initdb runs', async () => {
    const owner = sandbox.spawnOwner().catch((error: unknown) => error);
    await until('initdb writes', async () => {
      const names = await readdir(sandbox.dataDir).catch(() => []);
      return names.some((name) => /^postgres\.new-[0-9a-f]+$/.test(name));
    });
    const lock = JSON.parse(await readFile(join(sandbox.dataDir, 'gateway.lock'), 'utf8')) as { pid: number };
    process.kill(lock.pid, 'SIGKILL');
    await owner;

    const database = await sandbox.start();

    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
  });
});

/** Commits 50 rows one by one, kills the server at once, waits for it to be back and counts. */
async function commitThenKill(
  database: EmbeddedPostgres,
  synchronous: 'on' | 'off',
): Promise<{ acked: number; found: number }> {
  await query(database.url, 'CREATE TABLE IF NOT EXISTS acks (id bigint GENERATED ALWAYS AS IDENTITY)');
  const count = async () =>
    Number((await query<{ n: string }>(database.url, 'SELECT count(*) AS n FROM acks'))[0]?.n);
  const before = await count();
  const url = `${database.url}?options=-c%20synchronous_commit%3D${synchronous}`;
  for (let row = 0; row < 50; row += 1) await query(url, 'INSERT INTO acks DEFAULT VALUES');
  await killAndWait(database);
  return { acked: before + 50, found: await count() };
}

async function killAndWait(database: EmbeddedPostgres): Promise<void> {
  const { pid } = database;
  process.kill(pid, 'SIGKILL');
  await until('PostgreSQL is back', () => database.pid !== pid);
}

/** Ends the shell that watches a gateway, as an out-of-memory killer might, before its gateway dies. */
async function killWatchdog(gatewayPid: number): Promise<void> {
  const children = await readFile(`/proc/${gatewayPid}/task/${gatewayPid}/children`, 'utf8');
  for (const pid of children.trim().split(' ')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    if (command.includes('sluice-watchdog')) process.kill(Number(pid), 'SIGKILL');
  }
}

/** An identity of this boot and namespace, of a process that started at another time. */
async function reusedIdentity(): Promise<string> {
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return `${boot}/${await readlink('/proc/self/ns/pid')}/1`;
}
