import { EntitySchema } from 'typeorm';

/** A side effect waiting to happen, written in the same transaction as its cause. */
export interface JobRow {
  tenant_id: number;
  id: string;
  kind: string;
  /** Sealed JSON: it may hold a mailed code. */
  payload: Buffer;
  created_at: Date;
  run_at: Date;
  attempts: number;
  /** Fencing: only the worker that holds the present lease may finish or put back the job. */
  lease_id: string | null;
  leased_until: Date | null;
  /** Given up for good; the row stays as evidence. */
  failed_at: Date | null;
  last_error: string | null;
}

const primaryKeyConstraintName = 'jobs_pkey';

export const JobEntity = new EntitySchema<JobRow>({
  name: 'Job',
  tableName: 'jobs',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    kind: { type: 'text' },
    payload: { type: 'bytea' },
    created_at: { type: 'timestamptz' },
    run_at: { type: 'timestamptz' },
    attempts: { type: 'integer', default: 0 },
    lease_id: { type: 'uuid', nullable: true },
    leased_until: { type: 'timestamptz', nullable: true },
    failed_at: { type: 'timestamptz', nullable: true },
    last_error: { type: 'text', nullable: true },
  },
  indices: [{ name: 'jobs_due_idx', columns: ['run_at'], where: 'failed_at IS NULL' }],
  foreignKeys: [
    { name: 'jobs_tenant_fkey', target: 'Tenant', columnNames: ['tenant_id'], referencedColumnNames: ['id'] },
  ],
});
