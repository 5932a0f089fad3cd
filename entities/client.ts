import { EntitySchema } from 'typeorm';

/** Whom API keys belong to: a program or a party outside. Not an OAuth client, which gets tokens (`oauth_clients`). */
export interface ClientRow {
  tenant_id: number;
  id: string;
  name: string;
  /** `web`, `mobile`, `desktop` or `service`. */
  client_type: string;
  created_by: string;
  created_at: Date;
  /** While it is set, none of its keys opens anything. */
  disabled_at: Date | null;
}

const primaryKeyConstraintName = 'clients_pkey';

export const ClientEntity = new EntitySchema<ClientRow>({
  name: 'Client',
  tableName: 'clients',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    name: { type: 'text' },
    client_type: { type: 'text' },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
    disabled_at: { type: 'timestamptz', nullable: true },
  },
  foreignKeys: [
    {
      name: 'clients_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
