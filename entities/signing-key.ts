import { EntitySchema } from 'typeorm';

/** A key pair that signs access tokens. Belongs to the installation, not to a tenant. */
export interface SigningKeyRow {
  kid: string;
  alg: 'ES256';
  public_jwk: Record<string, string>;
  /** Private JWK, sealed; null once the key is retired. */
  private_jwk: Buffer | null;
  state: 'pending' | 'active' | 'retiring' | 'retired';
  created_at: Date;
  activated_at: Date | null;
  retiring_at: Date | null;
}

const primaryKeyConstraintName = 'signing_keys_pkey';

export const SigningKeyEntity = new EntitySchema<SigningKeyRow>({
  name: 'SigningKey',
  tableName: 'signing_keys',
  columns: {
    kid: { type: 'text', primary: true, primaryKeyConstraintName },
    alg: { type: 'text' },
    public_jwk: { type: 'jsonb' },
    private_jwk: { type: 'bytea', nullable: true },
    state: { type: 'text' },
    created_at: { type: 'timestamptz' },
    activated_at: { type: 'timestamptz', nullable: true },
    retiring_at: { type: 'timestamptz', nullable: true },
  },
  indices: [{ name: 'signing_keys_one_active', columns: ['state'], unique: true, where: "state = 'active'" }],
});
