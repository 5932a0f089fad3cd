import { randomUUID } from 'node:crypto';
import type { SecretBox } from './auth/secret-box.ts';
import type { Database, Sql } from './db.ts';
import type { Logger } from './log.ts';

/** A side effect to come. The payload is sealed at rest, for it may hold a mailed code (S23). */
export interface JobRequest {
  tenantId: number;
  kind: string;
  payload: unknown;
}

/** Carries jobs out. A handler that throws gets its job again, later; one that throws JobRefused does not. */
export type JobHandler = (payload: unknown, tenantId: number) => Promise<void>;

/** Trying again cannot help: the job is kept as failed. */
export class JobRefused extends Error {}

export interface Jobs {
  /** Writes a job inside the caller's transaction: it will happen if, and only if, its cause is committed. */
  enqueue(sql: Sql, job: JobRequest): Promise<void>;
  /** Says that there may be work; call it after the commit. Lost calls cost a poll interval. */
  wake(): void;
  /** Carries out everything that is due now, and waits for it. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface JobOptions {
  db: Database;
  box: SecretBox;
  log: Logger;
  clock: () => number;
  handlers: Record<string, JobHandler>;
  pollMs?: number;
  /** Leaves the work to other nodes. */
  idle?: boolean;
}

const POLL_MS = 1_000;
const LEASE_SECONDS = 120;
const BATCH = 10;
const MAX_DELAY_MS = 300_000;

interface JobRow {
  tenant_id: number;
  id: string;
  kind: string;
  payload: Buffer;
  created_at: Date;
  attempts: number;
  lease_id: string;
}

/** Starts the worker. Several nodes share the table: a job is leased, and a worker that lost its lease cannot finish it. */
export function startJobs(options: JobOptions): Jobs {
  const { db, box, log, clock } = options;
  let closed = false;
  let running: Promise<void> | undefined;
  let again = false;
  const runAll = async (): Promise<void> => {
    do {
      again = false;
      const jobs = await lease(db.sql, clock());
      jobs.sort((a, b) => a.created_at.getTime() - b.created_at.getTime());
      await Promise.all(jobs.map((job) => carryOut(options, job)));
      if (jobs.length === BATCH) again = true;
    } while (again && !closed);
  };
  const start = (): Promise<void> => {
    running ??= runAll().finally(() => (running = undefined));
    return running;
  };
  const wake = (): void => {
    if (closed || options.idle === true) return;
    again = true;
    start().catch((error: unknown) => log.warn({ err: messageOf(error) }, 'jobs could not be looked up'));
  };
  const timer = setInterval(wake, options.pollMs ?? POLL_MS);
  return {
    enqueue: (sql, job) => insert(sql, box, { ...job, now: new Date(clock()) }),
    wake,
    async drain() {
      await running;
      await start();
    },
    async close() {
      closed = true;
      clearInterval(timer);
      await running?.catch(() => undefined);
    },
  };
}

async function insert(sql: Sql, box: SecretBox, job: JobRequest & { now: Date }): Promise<void> {
  const sealed = box.seal(`job ${job.kind}`, JSON.stringify(job.payload));
  await sql(
    `INSERT INTO jobs (tenant_id, id, kind, payload, created_at, run_at) VALUES ($1, $2, $3, $4, $5, $5)`,
    [job.tenantId, randomUUID(), job.kind, sealed, job.now],
  );
}

async function lease(sql: Sql, now: number): Promise<JobRow[]> {
  return sql<JobRow>(
    `UPDATE jobs SET lease_id = $1, leased_until = $2::timestamptz + make_interval(secs => $3), attempts = attempts + 1
     WHERE (tenant_id, id) IN (
       SELECT tenant_id, id FROM jobs
       WHERE failed_at IS NULL AND run_at <= $2 AND (leased_until IS NULL OR leased_until < $2)
       ORDER BY run_at LIMIT $4 FOR UPDATE SKIP LOCKED)
     RETURNING tenant_id, id, kind, payload, created_at, attempts, lease_id`,
    [randomUUID(), new Date(now), LEASE_SECONDS, BATCH],
  );
}

async function carryOut({ db, box, log, clock, handlers }: JobOptions, job: JobRow): Promise<void> {
  try {
    const handler = handlers[job.kind];
    if (handler === undefined) throw new Error(`no handler for ${job.kind}`);
    await handler(JSON.parse(box.open(`job ${job.kind}`, job.payload).toString('utf8')), job.tenant_id);
    await db.sql('DELETE FROM jobs WHERE tenant_id = $1 AND id = $2 AND lease_id = $3', [
      job.tenant_id,
      job.id,
      job.lease_id,
    ]);
  } catch (error) {
    const gaveUp = error instanceof JobRefused;
    log.warn(
      { job: job.id, kind: job.kind, attempts: job.attempts, gaveUp, err: messageOf(error) },
      'job failed',
    );
    await putBack(db.sql, job, {
      runAt: new Date(clock() + delayAfter(job.attempts)),
      failedAt: gaveUp ? new Date(clock()) : null,
      error: messageOf(error),
    }).catch((cause: unknown) => log.warn({ job: job.id, err: messageOf(cause) }, 'job stays leased'));
  }
}

async function putBack(
  sql: Sql,
  job: JobRow,
  outcome: { runAt: Date; failedAt: Date | null; error: string },
): Promise<void> {
  await sql(
    `UPDATE jobs SET run_at = $4, failed_at = $5, last_error = $6, lease_id = NULL, leased_until = NULL,
                     payload = CASE WHEN $5::timestamptz IS NULL THEN payload ELSE ''::bytea END
     WHERE tenant_id = $1 AND id = $2 AND lease_id = $3`,
    [job.tenant_id, job.id, job.lease_id, outcome.runAt, outcome.failedAt, outcome.error.slice(0, 500)],
  );
}

/** 1 s, 2 s, 4 s … up to 5 min. */
function delayAfter(attempts: number): number {
  return Math.min(1_000 * 2 ** Math.min(attempts - 1, 20), MAX_DELAY_MS);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
