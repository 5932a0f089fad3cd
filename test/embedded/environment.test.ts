import { execFile } from 'node:child_process';
import { chmod, chown, cp, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { requireNativeDir } from '../../server/embedded/binaries.ts';
import { createSandbox, query, refusal, type Sandbox } from './sandbox.ts';

const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };

describe('embedded PostgreSQL: where it runs', () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await createSandbox();
  });
  afterEach(async () => sandbox.dispose());

  it('starts when install scripts were blocked, without touching the package', async () => {
    const nativeDir = await copyNative(sandbox, { linked: false });
    const before = await readdir(join(nativeDir, 'lib'));

    const database = await sandbox.start({ nativeDir });

    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect(await readdir(join(nativeDir, 'lib'))).to.deep.equal(before);
  });

  it('starts when the install script ran, and makes no links of its own', async () => {
    const nativeDir = await copyNative(sandbox, { linked: true });

    const database = await sandbox.start({ nativeDir });

    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect(await readdir(sandbox.dataDir)).not.to.include('lib');
  });

  it('as root: runs in a home of mode 0700, files stay with root, no system user is made', async function () {
    if (!isRoot) skip(this, 'needs root');
    const accounts = await readFile('/etc/passwd', 'utf8');
    const home = join(sandbox.root, 'home');
    await mkdir(home, { mode: 0o700 });

    const database = await sandbox.start({ dataDir: join(home, '.sluice') });

    expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect((await stat(join(home, '.sluice', 'postgres'))).uid).to.equal(0);
    expect(await readFile('/etc/passwd', 'utf8')).to.equal(accounts);
    await database.close();
  });

  it('as root without unshare: falls back to an unprivileged user, and stays with it', async function () {
    if (!isRoot) skip(this, 'needs root');
    await chmod(sandbox.root, 0o755);
    const env = { PATH: '/nonexistent', TMPDIR: sandbox.root };
    const owner = await sandbox.spawnOwner({ env });

    expect(await query(owner.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect((await stat(join(sandbox.dataDir, 'postgres'))).uid).not.to.equal(0);
    expect((await stat(join(sandbox.dataDir, 'postgres.password'))).uid).to.equal(0);
    owner.child.kill('SIGTERM');
    await new Promise((resolve) => owner.child.once('exit', resolve));
    expect(await refusal(sandbox.start())).to.equal('started');
  });

  it('as root without unshare in a home of mode 0700: says so and names DATABASE_URL', async function () {
    if (!isRoot) skip(this, 'needs root');
    const home = join(sandbox.root, 'home');
    await mkdir(home, { mode: 0o700 });
    const attempt = sandbox.spawnOwner({
      dataDir: join(home, '.sluice'),
      env: { PATH: '/nonexistent', TMPDIR: home },
    });

    const said = await attempt.then(
      () => 'started',
      (error: unknown) => String(error),
    );

    expect(said)
      .to.match(/cannot_run_as_root/)
      .and.match(/DATABASE_URL/);
  });

  it('runs as an ordinary user', async function () {
    if (!isRoot) skip(this, 'needs root to become another user; the other tests already run as one');
    await chmod(sandbox.root, 0o755);
    const home = join(sandbox.root, 'home');
    await mkdir(home, { mode: 0o700 });
    await chown(home, nobody.uid, nobody.gid);
    const env = { PATH: '/usr/bin:/bin', TMPDIR: home };

    const owner = await sandbox.spawnOwner({ dataDir: join(home, '.sluice'), env, ...nobody });

    expect(await query(owner.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
  });

  it('refuses the data of another major version, and a folder that is not a cluster', async () => {
    const cluster = join(sandbox.dataDir, 'postgres');
    await mkdir(cluster, { recursive: true });
    await writeFile(join(cluster, 'PG_VERSION'), '17\n');
    expect(await refusal(sandbox.start())).to.equal('data_dir_version');

    await writeFile(join(cluster, 'PG_VERSION'), '');
    expect(await refusal(sandbox.start())).to.equal('data_dir_foreign');
  });

  it('refuses a folder it cannot write, missing binaries and a taken port', async () => {
    const file = join(sandbox.root, 'file');
    await writeFile(file, '');
    const running = await sandbox.start();
    const port = Number(new URL(running.url).port);

    expect(await refusal(sandbox.start({ dataDir: join(file, 'data') }))).to.equal('data_dir_unwritable');
    const dataDir = join(sandbox.root, 'other');
    expect(await refusal(sandbox.start({ dataDir, nativeDir: sandbox.root }))).to.equal('binaries_missing');
    expect(await refusal(sandbox.start({ dataDir, port }))).to.equal('port_in_use');
  });

  it('[F22] says so when the disk is full, and starts once there is room', async function () {
    if (!isRoot) skip(this, 'needs root to mount a small disk');
    const disk = await mountSmallDisk(sandbox);
    if (!disk) skip(this, 'mounting is not allowed here');
    try {
      expect(await refusal(sandbox.start({ dataDir: join(disk.path, 'data') }))).to.equal('disk_full');
      await disk.grow();
      const database = await sandbox.start({ dataDir: join(disk.path, 'data') });
      expect(await query(database.url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
      await database.close();
    } finally {
      await disk.unmount();
    }
  });
});

function skip(context: Mocha.Context, reason: string): never {
  process.stdout.write(`    skipped: ${reason}\n`);
  return context.skip();
}

/** A copy of the platform package's programs as npm leaves them with, or without, its install script. */
async function copyNative(sandbox: Sandbox, { linked }: { linked: boolean }): Promise<string> {
  const installed = requireNativeDir();
  const nativeDir = join(sandbox.root, 'package', 'native');
  const links = JSON.parse(await readFile(join(installed, 'pg-symlinks.json'), 'utf8')) as Record<
    string,
    string
  >[];
  const made = new Set(links.map(({ target = '' }) => basename(target)));
  const filter = (path: string): boolean => !made.has(basename(path));
  await cp(installed, nativeDir, { recursive: true, filter });
  for (const { source = '', target = '' } of linked ? links : []) {
    await symlink(basename(source), join(nativeDir, '..', target));
  }
  return nativeDir;
}

async function mountSmallDisk(sandbox: Sandbox) {
  const run = async (file: string, args: string[]): Promise<boolean> =>
    new Promise((resolve) => execFile(file, args, (error) => resolve(error === null)));
  const path = join(sandbox.root, 'disk');
  await mkdir(path);
  if (!(await run('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', path]))) return undefined;
  return {
    path,
    grow: async () => run('mount', ['-o', 'remount,size=200m', path]),
    unmount: async () => run('umount', [path]),
  };
}
