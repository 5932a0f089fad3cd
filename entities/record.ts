import { EntitySchema } from 'typeorm';

/** The current state of one record. */
export interface RecordRow {
  tenant_id: number;
  collection: string;
  id: string;
  partition: string;
  /** The tenant's position at the record's last change. */
  version: number;
  data: Record<string, unknown>;
  /** Position of each field's last change; `*` stands for the fields not named. */
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
    data: { type: 'jsonb' },
    field_versions: { type: 'jsonb', default: () => "'{}'" },
  },
});
