import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';

const ROOT = join(import.meta.dirname, '../..');
const INDEX = join(ROOT, 'dist/web/index.html');
const SOURCES = ['web', 'sdk', 'protocol'];

/** Builds dist/web unless it is newer than everything it is made of. */
export async function buildPage(): Promise<void> {
  const built = await mtimeOf(INDEX);
  const newest = Math.max(...(await Promise.all(SOURCES.map((name) => newestIn(join(ROOT, name))))));
  if (built > newest) return;
  await build({ configFile: join(ROOT, 'web/vite.config.ts'), logLevel: 'error' });
}

async function newestIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Math.max(0, ...(await Promise.all(files.map((file) => mtimeOf(join(file.parentPath, file.name))))));
}

async function mtimeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}
