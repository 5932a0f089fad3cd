import { EntitySchema } from 'typeorm';

/** Addresses that a tenant lets in, or keeps out. */
export interface IpRuleRow {
  tenant_id: number;
  id: string;
  /** The network in its one form, such as `10.1.0.0/16`. */
  cidr: string;
  action: 'allow' | 'deny';
  note: string | null;
  /** `kind:id` of who made it. */
  created_by: string;
  created_at: Date;
}

const primaryKeyConstraintName = 'ip_rules_pkey';

export const IpRuleEntity = new EntitySchema<IpRuleRow>({
  name: 'IpRule',
  tableName: 'ip_rules',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    cidr: { type: 'text' },
    action: { type: 'text' },
    note: { type: 'text', nullable: true },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
  },
  uniques: [{ name: 'ip_rules_cidr_key', columns: ['tenant_id', 'cidr'] }],
  foreignKeys: [
    {
      name: 'ip_rules_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
