import { EntitySchema } from 'typeorm';

/** The stored result of one batch: what a replay of it is answered with. */
export interface SyncBatchRow {
  tenant_id: number;
  client_id: string;
  incarnation: string;
  seq: number;
  batch_id: string;
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
    client_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    incarnation: { type: 'text', primary: true, primaryKeyConstraintName },
    seq: { type: 'bigint', primary: true, primaryKeyConstraintName },
    batch_id: { type: 'uuid' },
    hash: { type: 'bytea' },
    version: { type: 'bigint', nullable: true },
    results: { type: 'json' },
    created_at: { type: 'timestamptz', default: () => 'now()' },
  },
  uniques: [{ name: 'sync_batches_batch_id_key', columns: ['tenant_id', 'batch_id'] }],
});
