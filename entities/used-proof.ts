import { EntitySchema } from 'typeorm';

/** A client assertion or DPoP proof that has been used: it counts once. */
export interface UsedProofRow {
  tenant_id: number;
  /** SHA-256 of what it was for, whose it is, and its `jti`. */
  hash: Buffer;
  /** From then on it would be refused for its age alone. */
  expires_at: Date;
}

const primaryKeyConstraintName = 'used_proofs_pkey';

export const UsedProofEntity = new EntitySchema<UsedProofRow>({
  name: 'UsedProof',
  tableName: 'used_proofs',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    hash: { type: 'bytea', primary: true, primaryKeyConstraintName },
    expires_at: { type: 'timestamptz' },
  },
  indices: [{ name: 'used_proofs_expires_at_idx', columns: ['expires_at'] }],
  foreignKeys: [
    {
      name: 'used_proofs_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
