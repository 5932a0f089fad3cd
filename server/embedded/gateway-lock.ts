import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { asDataDirError, EmbeddedPostgresError, findErrno } from './errors.ts';

/** The right to use a data folder, held by one gateway at a time. */
export interface GatewayLock {
  release(): Promise<void>;
}

const heartbeatMs = 1_000;
const watchMs = 5_000;
const longDeadMs = 30_000;

const ownerSchema = z.object({
  token: z.string(),
  pid: z.number().int(),
  host: z.string(),
  /** Linux: which process exactly (boot, pid namespace, start tick), so that a reused pid is not mistaken. */
  identity: z.string().optional(),
});
type Owner = z.infer<typeof ownerSchema>;

/**
 * Takes `<dataDir>/gateway.lock`, or takes it over from a gateway that is gone.
 *
 * @throws EmbeddedPostgresError data_dir_in_use, data_dir_unwritable, disk_full
 */
export async function acquireGatewayLock(dataDir: string): Promise<GatewayLock> {
  const path = join(dataDir, 'gateway.lock');
  const owner: Owner = { token: randomUUID(), pid: process.pid, host: hostname(), ...describeSelf() };
  for (let attempt = 0; attempt < 5; attempt += 1) {
    if (await create(path, owner)) return hold(path, owner);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const other = parseOwner(text);
    if (await isAlive(path, other)) throw inUse(dataDir, other);
    await discard(path, text);
  }
  throw inUse(dataDir, undefined);
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (findErrno(error) === 'EEXIST') return false;
    await rm(path, { force: true }).catch(() => undefined);
    throw asDataDirError(error, path);
  }
}

function hold(path: string, owner: Owner): GatewayLock {
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, heartbeatMs);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      const text = await readFile(path, 'utf8').catch(() => '');
      if (parseOwner(text)?.token === owner.token) await rm(path, { force: true });
    },
  };
}

/** Two starters may judge the same lock dead; only the one that moves away what it judged goes on. */
async function discard(path: string, judged: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (findErrno(error) === 'ENOENT') return;
    throw asDataDirError(error, path);
  }
  const moved = await readFile(aside, 'utf8');
  if (moved !== judged) await writeFile(path, moved, { flag: 'wx', mode: 0o600 }).catch(() => undefined);
  await rm(aside, { force: true });
}

async function isAlive(path: string, owner: Owner | undefined): Promise<boolean> {
  const self = describeSelf();
  if (owner?.identity && self.identity && sameScope(owner.identity, self.identity)) {
    return staysAlive(owner.pid, owner.identity);
  }
  if (owner?.host === hostname() && !owner.identity && !processExists(owner.pid)) return false;
  // Another container, another machine, a system without /proc, or a half-written lock: only the beat tells.
  return beats(path);
}

/** A process that was just SIGKILLed is still listed for a moment while the kernel takes it down. */
async function staysAlive(pid: number, identity: string): Promise<boolean> {
  for (let look = 0; look < 6; look += 1) {
    if (findIdentity(pid) !== identity) return false;
    if (pid !== process.pid) await sleep(50);
  }
  return true;
}

async function beats(path: string): Promise<boolean> {
  const first = await stat(path).catch(() => undefined);
  if (!first || Date.now() - first.mtimeMs > longDeadMs) return false;
  for (let waited = 0; waited < watchMs; waited += 250) {
    await sleep(250);
    const later = await stat(path).catch(() => undefined);
    if (!later) return false;
    if (later.mtimeMs !== first.mtimeMs) return true;
  }
  return false;
}

function describeSelf(): { identity?: string } {
  const identity = findIdentity(process.pid);
  return identity === undefined ? {} : { identity };
}

/** `boot/namespace/startTick` of a live process; nothing when it is gone, a zombie, or there is no /proc. */
function findIdentity(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [state = '', tick = ''] = [fields[0], fields[19]];
    return /[ZX]/.test(state) ? undefined : `${boot}/${readlinkSync('/proc/self/ns/pid')}/${tick}`;
  } catch {
    return undefined;
  }
}

function sameScope(one: string, other: string): boolean {
  return one.slice(0, one.lastIndexOf('/')) === other.slice(0, other.lastIndexOf('/'));
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return findErrno(error) !== 'ESRCH';
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function inUse(dataDir: string, owner: Owner | undefined): EmbeddedPostgresError {
  const who = owner ? `process ${owner.pid} on ${owner.host}` : 'another process';
  return new EmbeddedPostgresError(
    'data_dir_in_use',
    `the data folder ${dataDir} is in use by another Sluice (${who}): stop it first, or choose another DATA_DIR`,
  );
}
