import { EntitySchema } from 'typeorm';

/** A role that a tenant made for itself. The built-in ones are in code. */
export interface RoleRow {
  tenant_id: number;
  name: string;
  scopes: string[];
  /** Requests of each of its people in a window of RATE_LIMIT_WINDOW_MS; null: as members. */
  rate_limit: number | null;
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
    rate_limit: { type: 'integer', nullable: true },
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
