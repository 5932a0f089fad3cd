import { EntitySchema } from 'typeorm';

/** The log: every record's every change, at (version, idx). A version is one committed batch. */
export interface ChangeRow {
  tenant_id: number;
  version: number;
  idx: number;
  collection: string;
  record_id: string;
  op: 'put' | 'delete';
  /** The partition after the change; of a deleted record, the one it was in. */
  partition: string;
  /** The partition before, where the change moved the record; else null. */
  prev_partition: string | null;
  data: Record<string, unknown> | null;
  /** Length of the data's JSON text: pages of the log are cut by it. */
  bytes: number;
  at: Date;
  /** Random per version: tells this history from another one that reached the same number. */
  mark: number;
  principal: string;
  client_id: string | null;
  seq: number | null;
}

const primaryKeyConstraintName = 'changes_pkey';

export const ChangeEntity = new EntitySchema<ChangeRow>({
  name: 'Change',
  tableName: 'changes',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    version: { type: 'bigint', primary: true, primaryKeyConstraintName },
    idx: { type: 'integer', primary: true, primaryKeyConstraintName },
    collection: { type: 'text' },
    record_id: { type: 'text' },
    op: { type: 'text' },
    partition: { type: 'text' },
    prev_partition: { type: 'text', nullable: true },
    data: { type: 'jsonb', nullable: true },
    bytes: { type: 'integer' },
    at: { type: 'timestamptz' },
    mark: { type: 'bigint' },
    principal: { type: 'text' },
    client_id: { type: 'uuid', nullable: true },
    seq: { type: 'bigint', nullable: true },
  },
});
