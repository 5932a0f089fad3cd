import { EntitySchema } from 'typeorm';

/** One link of a session's chain of refresh tokens. Only its hash is kept. */
export interface RefreshTokenRow {
  tenant_id: number;
  /** SHA-256 of the token. */
  hash: Buffer;
  session_id: string;
  created_at: Date;
  expires_at: Date;
  /** First use: the 10 s grace is counted from here. */
  used_at: Date | null;
  /** The successor, sealed under a key that only the presented token yields. */
  successor: Buffer | null;
}

const primaryKeyConstraintName = 'refresh_tokens_pkey';

export const RefreshTokenEntity = new EntitySchema<RefreshTokenRow>({
  name: 'RefreshToken',
  tableName: 'refresh_tokens',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    hash: { type: 'bytea', primary: true, primaryKeyConstraintName },
    session_id: { type: 'uuid' },
    created_at: { type: 'timestamptz' },
    expires_at: { type: 'timestamptz' },
    used_at: { type: 'timestamptz', nullable: true },
    successor: { type: 'bytea', nullable: true },
  },
  indices: [
    { name: 'refresh_tokens_session_idx', columns: ['tenant_id', 'session_id'] },
    { name: 'refresh_tokens_expires_at_idx', columns: ['expires_at'] },
  ],
  foreignKeys: [
    {
      name: 'refresh_tokens_session_fkey',
      target: 'Session',
      columnNames: ['tenant_id', 'session_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
