import { EntitySchema } from 'typeorm';

/** A role that a tenant made for itself. The built-in ones are in code. */
export interface RoleRow {
  tenant_id: number;
  name: string;
  scopes: string[];
  created_by: string;
  created_at: Date;
}

const primaryKeyConstraintName = 'roles_pkey';

export const RoleEntity = new EntitySchema<RoleRow>({
  name: 'Role',
  tableName: 'roles',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    name: { type: 'text', primary: true, primaryKeyConstraintName },
    scopes: { type: 'text', array: true },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
  },
  foreignKeys: [
    {
      name: 'roles_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
