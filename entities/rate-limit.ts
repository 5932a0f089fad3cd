import { EntitySchema } from 'typeorm';

/** A count that all gateways share. Unlogged; columns and names are those of rate-limiter-flexible. */
export interface RateLimitRow {
  /** The limit's name, and an HMAC of who is counted: addresses and names are not kept. */
  key: string;
  points: number;
  /** Epoch milliseconds. */
  expire: number | null;
}

export const RateLimitEntity = new EntitySchema<RateLimitRow>({
  name: 'RateLimit',
  tableName: 'rate_limits',
  columns: {
    key: { type: 'varchar', length: 255, primary: true, primaryKeyConstraintName: 'rate_limits_pkey' },
    points: { type: 'integer', default: 0 },
    expire: { type: 'bigint', nullable: true },
  },
});
