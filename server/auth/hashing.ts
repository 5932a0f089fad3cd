import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AppError } from '../../protocol/errors.ts';
import { bareEnvironment } from '../config.ts';

/** argon2id as OWASP recommends; explicit, for the library's own default costs four times the time. Memory in KiB. */
export const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** What the hashing process is asked: to hash, or with a stored hash to verify. */
export interface HashRequest {
  id: number;
  password: string;
  stored?: string;
}

export type HashAnswer = { id: number; result: string | boolean } | { id: number; fault: string };

/** argon2id, computed by a process that steps back for everything else. Both throw `unavailable` when it cannot be had. */
export interface Hashing {
  hash(password: string): Promise<string>;
  verify(stored: string, password: string): Promise<boolean>;
}

interface Waiting {
  request: HashRequest;
  tries: number;
  settle: (answer: HashAnswer) => void;
}

/** A computation is begun anew when its process died, so many times. */
const TRIES = 3;
const entry = fileURLToPath(
  new URL(`./hashing-process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);
const waiting = new Map<number, Waiting>();
let child: ChildProcess | undefined;
let nextId = 1;

/** One process serves every gateway of this one. It starts with the first password, and keeps nobody from ending. */
export const hashing: Hashing = {
  hash: async (password) => String(await ask({ id: nextId++, password })),
  verify: async (stored, password) => (await ask({ id: nextId++, password, stored })) === true,
};

/** Of the process, while there is one: for tests and for whoever looks at the machine. */
export function hashingPid(): number | undefined {
  return child?.pid;
}

async function ask(request: HashRequest): Promise<string | boolean> {
  const answer = await new Promise<HashAnswer>((settle) => send({ request, tries: 1, settle }));
  if ('result' in answer) return answer.result;
  throw new AppError('unavailable', { retryAfterMs: 1_000, cause: new Error(answer.fault) });
}

function send(job: Waiting): void {
  child ??= start();
  waiting.set(job.request.id, job);
  child.ref();
  child.channel?.ref();
  // what cannot be delivered is noticed by the exit that follows
  child.send(job.request, () => undefined);
}

function start(): ChildProcess {
  const started = fork(entry, [], { env: bareEnvironment(), stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  started.on('message', (answer: HashAnswer) => {
    const job = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (waiting.size === 0) rest(started);
    job?.settle(answer);
  });
  const lose = (): void => {
    if (child === started) lost();
  };
  started.once('exit', lose);
  // it could not be started
  started.once('error', lose);
  return started;
}

/** Nothing is computed: it keeps no process alive. */
function rest(idle: ChildProcess): void {
  idle.unref();
  idle.channel?.unref();
}

/** Its work is given to another one. */
function lost(): void {
  child = undefined;
  const jobs = [...waiting.values()];
  waiting.clear();
  for (const { request, tries, settle } of jobs) {
    if (tries < TRIES) send({ request, tries: tries + 1, settle });
    else settle({ id: request.id, fault: 'the hashing process has died' });
  }
}
