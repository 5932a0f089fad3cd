import type pg from 'pg';
import { clientKey } from './commit.ts';
import type { ClientPosition } from './commit.ts';
import type { Submission } from './submission.ts';

const FIND_WRITES = {
  name: 'sync-find-writes',
  text: `SELECT client_id FROM sync_batches
         WHERE tenant_id = $1 AND client_id = ANY($2::uuid[]) AND incarnation = '' AND seq = 1`,
};

/**
 * Says where writes stand, in the form of an installation's sequence: each is the whole sequence of its own batchId, at 1
 * when it was committed before, else at 0. Two nodes with the same write at once meet at the primary key, and the group
 * that came second is run again (docs/PROTOCOL.md, "Exactly once").
 */
export async function findWrites(
  tx: pg.PoolClient,
  tenantId: number,
  writes: readonly Submission[],
): Promise<Map<string, ClientPosition>> {
  if (writes.length === 0) return new Map();
  const values = [tenantId, writes.map((write) => write.clientId)];
  const { rows } = await tx.query<{ client_id: string }>({ ...FIND_WRITES, values });
  const known = new Set(rows.map((row) => row.client_id));
  return new Map(
    writes.map((write) => [
      clientKey(write),
      { lastSeq: known.has(write.clientId) ? 1 : 0, principal: write.principalKey },
    ]),
  );
}
