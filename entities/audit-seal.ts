import { EntitySchema } from 'typeorm';

/** What the audit log of a tenant was, between two times; each seal holds the one before it. Append-only. */
export interface AuditSealRow {
  tenant_id: number;
  /** 1, 2, 3… without a gap. */
  number: number;
  /** From this time on… */
  from_at: Date;
  /** …up to, but not including, this one. */
  to_at: Date;
  row_count: number;
  /** SHA-256 over the rows. */
  digest: Buffer;
  /** `mac` of the seal before; empty for the first. */
  prev_mac: Buffer;
  /** HMAC over all of it, under a key that is not in the database. */
  mac: Buffer;
}

const primaryKeyConstraintName = 'audit_seals_pkey';

export const AuditSealEntity = new EntitySchema<AuditSealRow>({
  name: 'AuditSeal',
  tableName: 'audit_seals',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    number: { type: 'bigint', primary: true, primaryKeyConstraintName },
    from_at: { type: 'timestamptz' },
    to_at: { type: 'timestamptz' },
    row_count: { type: 'bigint' },
    digest: { type: 'bytea' },
    prev_mac: { type: 'bytea' },
    mac: { type: 'bytea' },
  },
});
