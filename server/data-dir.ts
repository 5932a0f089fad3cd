import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes the data directory (mode 0700) and what leads to it. Throws an Error that names DATA_DIR. Not with mkdir's own
 * `recursive`: in some places (/proc) that never comes back.
 */
export async function makeDataDir(path: string): Promise<void> {
  try {
    await makeFolder(path);
  } catch (error) {
    const { code } = error as { code?: string };
    throw new Error(
      `DATA_DIR ${path} cannot be used (${code ?? String(error)}): set it to a folder you may write to.`,
      {
        cause: error,
      },
    );
  }
}

async function makeFolder(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.isDirectory()) return;
  if (found) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
  });
}
