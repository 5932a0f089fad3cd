import { EntitySchema } from 'typeorm';

/** The stored result of one batch: what a replay of it is answered with. Its identity is its batchId. */
export interface SyncBatchRow {
  tenant_id: number;
  batch_id: string;
  /** The installation that sent it, and its place there; null for what the gateway wrote for a principal. */
  client_id: string | null;
  incarnation: string | null;
  seq: number | null;
  /** SHA-256 of the canonical batch. */
  hash: Buffer;
  /** The position it was committed at; null when it changed nothing. */
  version: number | null;
  results: unknown;
  created_at: Date;
}

const primaryKeyConstraintName = 'sync_batches_pkey';

export const SyncBatchEntity = new EntitySchema<SyncBatchRow>({
  name: 'SyncBatch',
  tableName: 'sync_batches',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    batch_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    client_id: { type: 'uuid', nullable: true },
    incarnation: { type: 'text', nullable: true },
    seq: { type: 'bigint', nullable: true },
    hash: { type: 'bytea' },
    version: { type: 'bigint', nullable: true },
    results: { type: 'json' },
    created_at: { type: 'timestamptz', default: () => 'now()' },
  },
});
