import { EntitySchema } from 'typeorm';

/** One node's word that a principal is connected to it, good until `expires_at`: a node that dies leaves nobody online. */
export interface PresenceLeaseRow {
  tenant_id: number;
  /** `kind:id`. */
  principal: string;
  /** A random id of the gateway process. */
  node_id: string;
  kind: string;
  name: string;
  status: string;
  text: string | null;
  /** Since when it has this status. */
  since: Date;
  /** Agents: batches waiting in the outbox, versions behind the head, and what was refused and waits for somebody. */
  queue: number | null;
  lag: number | null;
  inbox: number | null;
  expires_at: Date;
}

const primaryKeyConstraintName = 'presence_leases_pkey';

export const PresenceLeaseEntity = new EntitySchema<PresenceLeaseRow>({
  name: 'PresenceLease',
  tableName: 'presence_leases',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    principal: { type: 'text', primary: true, primaryKeyConstraintName },
    node_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    kind: { type: 'text' },
    name: { type: 'text' },
    status: { type: 'text' },
    text: { type: 'text', nullable: true },
    since: { type: 'timestamptz' },
    queue: { type: 'bigint', nullable: true },
    lag: { type: 'bigint', nullable: true },
    inbox: { type: 'bigint', nullable: true },
    expires_at: { type: 'timestamptz' },
  },
});
