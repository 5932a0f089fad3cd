import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { SessionUser } from '../sdk/index.ts';

/** What one gateway gave this user, on disk: mode 0600, replaced atomically. */
export interface SavedSession {
  url: string;
  refreshToken: string;
  user?: SessionUser | undefined;
  /** Shared by the commands that run until it expires, so that not each of them has to refresh. */
  accessToken?: string | undefined;
  /** Milliseconds since 1970. */
  accessExpiresAt?: number | undefined;
}

export interface SessionFile {
  readonly path: string;
  /** Undefined: there is none, or it is damaged. */
  read(): Promise<SavedSession | undefined>;
  write(session: SavedSession): Promise<void>;
  remove(): Promise<void>;
}

const savedSession = z.object({
  url: z.string(),
  refreshToken: z.string().min(1),
  user: z
    .looseObject({ id: z.string(), username: z.string() })
    .transform((user) => user as SessionUser)
    .optional(),
  accessToken: z.string().optional(),
  accessExpiresAt: z.number().optional(),
});

/** The session with one gateway: a file for each base URL. */
export function createSessionFile(configDir: string, baseUrl: string): SessionFile {
  const path = join(configDir, 'sessions', nameOf(baseUrl));
  return {
    path,
    async read() {
      try {
        return savedSession.parse(JSON.parse(await readFile(path, 'utf8')));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== undefined && code !== 'ENOENT') throw error;
        return undefined;
      }
    },
    async write(session) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const temporary = `${path}.${randomUUID()}.tmp`;
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(`${JSON.stringify(session, null, 2)}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await chmod(temporary, 0o600);
      await rename(temporary, path);
    },
    remove: () => rm(path, { force: true }),
  };
}

/** Readable, and different for different gateways. */
function nameOf(baseUrl: string): string {
  const url = new URL(baseUrl);
  const key = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 12);
  return `${url.host.replace(/[^a-z0-9.-]+/gi, '_')}-${hash}.json`;
}
