import { EntitySchema } from 'typeorm';

/** A machine that may get tokens: a branch agent or a service. */
export interface OAuthClientRow {
  tenant_id: number;
  id: string;
  /** Public id, `slc_<tenant>_<random>`. */
  client_id: string;
  name: string;
  scopes: string[];
  /** Grants in the form of `parseGrants`. */
  partitions: string[];
  /** Addresses and CIDR blocks; empty: from everywhere. */
  ip_allow_list: string[];
  rate_per_minute: number | null;
  /** The one way it authenticates in (RFC 7591); null: by a secret, in the header or the body. */
  auth_method: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | null;
  /** Its public keys (RFC 7517). */
  jwks: { keys: Record<string, unknown>[] } | null;
  /** It gets tokens only that are bound to a key (RFC 9449). */
  dpop_bound: boolean;
  created_by: string;
  created_at: Date;
  disabled_at: Date | null;
  /** Database time of the last change of rights: the nodes poll it. */
  changed_at: Date;
}

const primaryKeyConstraintName = 'oauth_clients_pkey';

export const OAuthClientEntity = new EntitySchema<OAuthClientRow>({
  name: 'OAuthClient',
  tableName: 'oauth_clients',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    client_id: { type: 'text' },
    name: { type: 'text' },
    scopes: { type: 'text', array: true },
    partitions: { type: 'text', array: true },
    ip_allow_list: { type: 'text', array: true, default: '{}' },
    rate_per_minute: { type: 'integer', nullable: true },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz' },
    disabled_at: { type: 'timestamptz', nullable: true },
    changed_at: { type: 'timestamptz', default: () => 'now()' },
    auth_method: { type: 'text', nullable: true },
    jwks: { type: 'jsonb', nullable: true },
    dpop_bound: { type: 'boolean', default: false },
  },
  uniques: [{ name: 'oauth_clients_client_id_key', columns: ['tenant_id', 'client_id'] }],
  indices: [{ name: 'oauth_clients_changed_at_idx', columns: ['changed_at'] }],
  foreignKeys: [
    {
      name: 'oauth_clients_tenant_fkey',
      target: 'Tenant',
      columnNames: ['tenant_id'],
      referencedColumnNames: ['id'],
    },
  ],
});
