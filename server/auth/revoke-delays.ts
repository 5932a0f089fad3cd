import type { Sql } from '../db.ts';
import type { Logger } from '../log.ts';

/** How a node heard that a session has ended: it ended it itself, another node said so, or it looked into the database. */
export type Heard = 'here' | 'hint' | 'poll';

export type DisconnectListener = (seconds: number, heard: Heard) => void;

export interface ClosedSession {
  tenantId: number;
  sessionId: string;
  heard: Heard;
}

/**
 * Measures how long sockets outlive their session: from its end to their close, by the database's clock alone, which all nodes share.
 * The end is stamped a moment before it is committed, so nothing is measured too short.
 */
export function measureDelays(deps: {
  db: { sql: Sql };
  log: Logger;
  onDisconnect?: DisconnectListener | undefined;
}): { closed(session: ClosedSession): void } {
  const { db, log, onDisconnect } = deps;
  let closed: (ClosedSession & { at: number })[] = [];
  const measure = async (): Promise<void> => {
    const sessions = closed;
    closed = [];
    const asked = performance.now();
    const ages = await db.sql<{ id: string; age: number }>(AGES, [
      sessions.map(({ tenantId }) => tenantId),
      sessions.map(({ sessionId }) => sessionId),
    ]);
    const ageOf = new Map(ages.map(({ id, age }) => [id, age]));
    for (const { sessionId, at, heard } of sessions) {
      const age = ageOf.get(sessionId);
      if (age !== undefined) onDisconnect?.(Math.max(0, age - (asked - at) / 1_000), heard);
    }
  };
  return {
    closed(session) {
      if (onDisconnect === undefined) return;
      // one question for all that one revocation closes
      if (closed.push({ ...session, at: performance.now() }) > 1) return;
      setImmediate(() => {
        measure().catch((error: unknown) => {
          const err = error instanceof Error ? error.message : String(error);
          log.warn({ err }, 'the delay of a revocation could not be measured');
        });
      });
    },
  };
}

const AGES = `
  SELECT s.id, extract(epoch FROM clock_timestamp() - s.revoked_at)::float8 AS age
  FROM unnest($1::integer[], $2::uuid[]) AS closed (tenant_id, id)
  JOIN sessions s ON s.tenant_id = closed.tenant_id AND s.id = closed.id
  WHERE s.revoked_at IS NOT NULL`;
