import { EntitySchema } from 'typeorm';

/** What a principal logs in to: tokens and sockets belong to it. */
export interface SessionRow {
  tenant_id: number;
  /** The `sid` of its tokens. */
  id: string;
  principal_kind: 'user' | 'device' | 'client';
  principal_id: string;
  /** Public id of the OAuth client it was opened for; null for the gateway's own pages and programs. */
  client_id: string | null;
  /** Scopes it was narrowed to; null: whatever its principal has. */
  scopes: string[] | null;
  app: string | null;
  ip: string | null;
  user_agent: string | null;
  created_at: Date;
  /** When whoever it belongs to last proved who they are. */
  authenticated_at: Date;
  /** How they did, in the words of RFC 8176: pwd, otp, hwk, rcv… */
  amr: string[];
  /** Thumbprint of the key its tokens are bound to (RFC 9449). */
  dpop_jkt: string | null;
  last_used_at: Date;
  /** Absolute: no refresh goes beyond. */
  expires_at: Date;
  /** Database time, for the nodes poll it. */
  revoked_at: Date | null;
  revoked_reason: string | null;
  /** By which transaction; null also when a version from before did it. */
  revoked_xid: number | null;
}

const primaryKeyConstraintName = 'sessions_pkey';

export const SessionEntity = new EntitySchema<SessionRow>({
  name: 'Session',
  tableName: 'sessions',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    principal_kind: { type: 'text' },
    principal_id: { type: 'uuid' },
    client_id: { type: 'text', nullable: true },
    scopes: { type: 'text', array: true, nullable: true },
    app: { type: 'text', nullable: true },
    ip: { type: 'text', nullable: true },
    user_agent: { type: 'text', nullable: true },
    created_at: { type: 'timestamptz' },
    last_used_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    revoked_at: { type: 'timestamptz', nullable: true },
    revoked_reason: { type: 'text', nullable: true },
    revoked_xid: { type: 'bigint', nullable: true },
    authenticated_at: { type: 'timestamptz', default: () => 'now()' },
    amr: { type: 'text', array: true, default: '{}' },
    dpop_jkt: { type: 'text', nullable: true },
  },
  indices: [
    { name: 'sessions_principal_idx', columns: ['tenant_id', 'principal_kind', 'principal_id'] },
    { name: 'sessions_revoked_at_idx', columns: ['revoked_at'], where: 'revoked_at IS NOT NULL' },
    { name: 'sessions_last_used_at_idx', columns: ['last_used_at'] },
    { name: 'sessions_expires_at_idx', columns: ['expires_at'] },
  ],
  foreignKeys: [
    {
      name: 'sessions_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
