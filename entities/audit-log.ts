import { EntitySchema } from 'typeorm';

/** One authentication event, sync batch or configuration change, committed with its effect. Append-only. */
export interface AuditLogRow {
  tenant_id: number;
  id: number;
  at: Date;
  /** Snake case with a dot, such as `auth.login` or `sync.push`. */
  action: string;
  /** `kind:id` of who did it; null for an unknown caller. */
  principal: string | null;
  success: boolean;
  /** Error code of the refusal, when `success` is false. */
  code: string | null;
  ip: string | null;
  request_id: string | null;
  /** What it was done to, and figures; never a secret. */
  details: Record<string, unknown>;
}

export const AuditLogEntity = new EntitySchema<AuditLogRow>({
  name: 'AuditLog',
  tableName: 'audit_logs',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName: 'audit_logs_pkey' },
    id: {
      type: 'bigint',
      primary: true,
      generated: 'increment',
      primaryKeyConstraintName: 'audit_logs_pkey',
    },
    at: { type: 'timestamptz', default: () => 'now()' },
    action: { type: 'text' },
    principal: { type: 'text', nullable: true },
    success: { type: 'boolean' },
    code: { type: 'text', nullable: true },
    ip: { type: 'text', nullable: true },
    request_id: { type: 'text', nullable: true },
    details: { type: 'jsonb', default: () => "'{}'" },
  },
  // BRIN, which an entity cannot say: rows come in the order of their time
  indices: [
    { name: 'audit_logs_at_idx', columns: ['at'], synchronize: false },
    // of logins alone, which takes more words than a column to say
    { name: 'audit_logs_logins_idx', columns: ['tenant_id', 'at'], synchronize: false },
  ],
});
