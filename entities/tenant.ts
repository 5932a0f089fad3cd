import { EntitySchema } from 'typeorm';

/** An organisation: the unit of isolation and of ordering. */
export interface TenantRow {
  id: number;
  name: string;
  created_at: Date;
}

export const TenantEntity = new EntitySchema<TenantRow>({
  name: 'Tenant',
  tableName: 'tenants',
  columns: {
    id: {
      type: 'integer',
      primary: true,
      generated: 'increment',
      primaryKeyConstraintName: 'tenants_pkey',
    },
    name: { type: 'text' },
    created_at: { type: 'timestamptz', default: () => 'now()' },
  },
});
