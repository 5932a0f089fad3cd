import { EntitySchema } from 'typeorm';

/** An organisation: the unit of isolation and of ordering. */
export interface TenantRow {
  id: number;
  name: string;
  created_at: Date;
  /** For gateways that no hint told; null: never. */
  ip_rules_changed_at: Date | null;
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
    ip_rules_changed_at: { type: 'timestamptz', nullable: true },
  },
});
