import { EntitySchema } from 'typeorm';

/** What a passkey is asked to sign. Deleted when it is answered: an answer counts once. */
export interface PasskeyChallengeRow {
  tenant_id: number;
  id: string;
  /** `register`, `login`, `mfa` or `reauthenticate`. */
  purpose: string;
  /** Whose answer it waits for: a session, an mfa_token's hash, or anybody's (''). */
  subject: string;
  challenge: string;
  expires_at: Date;
}

const primaryKeyConstraintName = 'passkey_challenges_pkey';

export const PasskeyChallengeEntity = new EntitySchema<PasskeyChallengeRow>({
  name: 'PasskeyChallenge',
  tableName: 'passkey_challenges',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    purpose: { type: 'text' },
    subject: { type: 'text' },
    challenge: { type: 'text' },
    expires_at: { type: 'timestamptz' },
  },
  indices: [
    { name: 'passkey_challenges_subject_idx', columns: ['tenant_id', 'purpose', 'subject'] },
    { name: 'passkey_challenges_expires_at_idx', columns: ['expires_at'] },
  ],
  foreignKeys: [
    {
      name: 'passkey_challenges_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
