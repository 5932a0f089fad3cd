import { EntitySchema } from 'typeorm';

/** The last number given in a partition of a numbered collection (chat messages: 1, 2, 3… per room). */
export interface PartitionCounterRow {
  tenant_id: number;
  collection: string;
  partition: string;
  last: number;
}

const primaryKeyConstraintName = 'partition_counters_pkey';

export const PartitionCounterEntity = new EntitySchema<PartitionCounterRow>({
  name: 'PartitionCounter',
  tableName: 'partition_counters',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    collection: { type: 'text', primary: true, primaryKeyConstraintName },
    partition: { type: 'text', primary: true, primaryKeyConstraintName },
    last: { type: 'bigint' },
  },
});
