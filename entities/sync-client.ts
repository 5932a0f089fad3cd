import { EntitySchema } from 'typeorm';

/** One installation (clientId) in one life (incarnation): where its sequence of batches stands. */
export interface SyncClientRow {
  tenant_id: number;
  client_id: string;
  incarnation: string;
  /** The principal that said hello first; nobody else may use the installation's sequence. */
  principal: string;
  last_seq: number;
  /** Batches of its last commit group: `last_seq` less this is where it stood before. */
  last_group: number;
  app_name: string | null;
  app_version: string | null;
  created_at: Date;
  last_seen_at: Date;
}

const primaryKeyConstraintName = 'sync_clients_pkey';

export const SyncClientEntity = new EntitySchema<SyncClientRow>({
  name: 'SyncClient',
  tableName: 'sync_clients',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    client_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    incarnation: { type: 'text', primary: true, primaryKeyConstraintName },
    principal: { type: 'text' },
    last_seq: { type: 'bigint', default: 0 },
    last_group: { type: 'integer', default: 0 },
    app_name: { type: 'text', nullable: true },
    app_version: { type: 'text', nullable: true },
    created_at: { type: 'timestamptz', default: () => 'now()' },
    last_seen_at: { type: 'timestamptz', default: () => 'now()' },
  },
});
