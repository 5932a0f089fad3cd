import { EntitySchema } from 'typeorm';

/** The current state of one record. */
export interface RecordRow {
  tenant_id: number;
  collection: string;
  id: string;
  partition: string;
  /** The tenant's position at the record's last change. */
  version: number;
  /** The version before that one; null for a record's first. */
  prev_version: number | null;
  data: Record<string, unknown>;
  /** Length of the data's JSON text. */
  bytes: number;
  /** The position at which the whole record was last put. */
  base_version: number;
  /** Position of each field's last patch since then; a field not named has `base_version`. */
  field_versions: Record<string, number>;
}

const primaryKeyConstraintName = 'records_pkey';

export const RecordEntity = new EntitySchema<RecordRow>({
  name: 'Record',
  tableName: 'records',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    collection: { type: 'text', primary: true, primaryKeyConstraintName },
    id: { type: 'text', primary: true, primaryKeyConstraintName },
    partition: { type: 'text' },
    version: { type: 'bigint' },
    prev_version: { type: 'bigint', nullable: true },
    data: { type: 'jsonb' },
    bytes: { type: 'integer' },
    base_version: { type: 'bigint' },
    field_versions: { type: 'jsonb', default: () => "'{}'" },
  },
  // an expression over the messages alone, which TypeORM cannot describe: the migration owns it
  indices: [{ name: 'records_messages_idx', columns: ['tenant_id', 'partition'], synchronize: false }],
});
