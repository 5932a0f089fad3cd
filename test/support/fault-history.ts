import type { Sql } from '../../server/db.ts';

/** What one write looked like to the client that made it. */
export interface HistoryEntry {
  /** Name of the write, found again in the log. */
  op: string;
  outcome: 'ok' | 'refused' | 'unknown';
  version?: number | null;
}

/**
 * Holds a history against the log: acked is there exactly once, refused never, unknown at most once (I1, I3). Returns
 * what is wrong.
 */
export async function checkWrites(sql: Sql, history: readonly HistoryEntry[]): Promise<string[]> {
  const rows = await sql<{ op: string; times: number; version: number }>(
    `SELECT data->>'last' AS op, count(*)::int AS times, max(version) AS version FROM changes
     WHERE data ? 'last' GROUP BY 1`,
  );
  const log = new Map(rows.map((row) => [row.op, row]));
  const faults = history.flatMap(({ op, outcome, version }) => {
    const times = log.get(op)?.times ?? 0;
    if (times > 1) return [`${op} (${outcome}) took effect ${times} times`];
    if (outcome === 'ok' && times === 0) return [`${op} was acknowledged and is lost`];
    if (outcome === 'ok' && log.get(op)?.version !== version)
      return [`${op} was acknowledged with another version`];
    return outcome === 'refused' && times > 0 ? [`${op} was refused and took effect`] : [];
  });
  const known = new Set(history.map(({ op }) => op));
  return [...faults, ...rows.filter(({ op }) => !known.has(op)).map(({ op }) => `${op} came from nowhere`)];
}

/** Holds what a subscriber of the whole tenant applied against the log: no gap, no double, no reorder (I2). */
export async function checkApplied(sql: Sql, applied: readonly string[]): Promise<string[]> {
  const rows = await sql<{ place: string }>(
    `SELECT version || '.' || idx AS place FROM changes WHERE tenant_id = 1 ORDER BY version, idx`,
  );
  const faults: string[] = [];
  const length = Math.max(rows.length, applied.length);
  for (let i = 0; i < length && faults.length < 5; i += 1) {
    if (rows[i]?.place !== applied[i])
      faults.push(
        `place ${i}: the log has ${rows[i]?.place ?? 'nothing'}, applied was ${applied[i] ?? 'nothing'}`,
      );
  }
  return faults;
}

/** The clock and the log agree: versions 1 to head, each with changes (O1). */
export async function checkLog(sql: Sql): Promise<string[]> {
  const [row] = await sql<{ head: number; versions: number; top: number }>(
    `SELECT head, (SELECT count(DISTINCT version)::int FROM changes c WHERE c.tenant_id = 1) AS versions,
            (SELECT coalesce(max(version), 0) FROM changes c WHERE c.tenant_id = 1) AS top
     FROM sync_versions WHERE tenant_id = 1`,
  );
  const whole = row?.head === row?.versions && row?.head === row?.top;
  return whole ? [] : [`the log has gaps: ${JSON.stringify(row)}`];
}
