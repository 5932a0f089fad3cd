import { EntitySchema } from 'typeorm';

/** The tenant's clock: advanced last in a writing transaction, once per commit group (DESIGN 5.1). */
export interface SyncVersionRow {
  tenant_id: number;
  head: number;
  /** Changes when the log is not the one clients knew (a restored backup declared as such). */
  epoch: string;
  /** Changes up to and including this version may have been dropped from the log. */
  floor: number;
}

export const SyncVersionEntity = new EntitySchema<SyncVersionRow>({
  name: 'SyncVersion',
  tableName: 'sync_versions',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName: 'sync_versions_pkey' },
    head: { type: 'bigint', default: 0 },
    epoch: { type: 'uuid' },
    floor: { type: 'bigint', default: 0 },
  },
});
