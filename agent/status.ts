import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { z } from 'zod';

/**
 * What a running agent says about itself, in a file beside the database: written whole and renamed, so that a reader
 * never sees half of it. docs/AGENT.md lists the fields; scripts may read the file instead of calling `agent status`.
 */

export const agentStatus = z.object({
  pid: z.number(),
  startedAt: z.string(),
  updatedAt: z.string(),
  /** idle, offline, connecting, snapshot, live, refused, closed; and before that: waiting_for_database. */
  state: z.string(),
  connected: z.boolean(),
  /** Captured and queued, not yet acknowledged. 0 and 0 with `backfill: null`: nothing is left to push. */
  captured: z.number(),
  queue: z.number(),
  backfill: z.object({ done: z.number(), total: z.number() }).nullable(),
  /** Batches applied and refused, since this start. */
  applied: z.number(),
  refused: z.number(),
  /** Waiting in the inbox: refused by the gateway, and refused here. */
  inbox: z.object({ gateway: z.number(), local: z.number() }),
  lastPushAt: z.string().nullable(),
  /** The tenant's version that all own batches are in and that has been applied here; null: not known yet. */
  version: z.number().nullable(),
  /** The tenant's head as last heard. */
  head: z.number().nullable(),
  cursor: z.string().nullable(),
  identity: z.string().nullable(),
  lastError: z.string().nullable(),
});
export type AgentStatus = z.infer<typeof agentStatus>;

export function statusPath(database: string): string {
  return `${database}.agent-status.json`;
}

export function writeStatus(database: string, status: AgentStatus): void {
  const path = statusPath(database);
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, 'w', 0o644);
  try {
    writeSync(file, `${JSON.stringify(status)}\n`);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** What the agent last said; undefined when it never did. */
export function findStatus(database: string): AgentStatus | undefined {
  try {
    return agentStatus.parse(JSON.parse(readFileSync(statusPath(database), 'utf8')));
  } catch {
    return undefined;
  }
}

export function removeStatus(database: string): void {
  rmSync(statusPath(database), { force: true });
}

/** For people and scripts to look at, never to act upon: a cursor is the gateway's own business. */
export function versionOf(cursor: string | null): number | null {
  const match = /^[0-9a-f]{8}\.([0-9a-z]{1,11})\./.exec(cursor ?? '');
  return match?.[1] === undefined ? null : parseInt(match[1], 36);
}
