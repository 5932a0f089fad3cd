import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Opaque identifiers carry their tenant, so that every look-up can begin with tenant_id. */

const MAX_TENANT = 2_147_483_647;

/** A new refresh token: 256 random bits. */
export function createRefreshToken(tenantId: number): string {
  return `srt_${tenantId}_${randomBytes(32).toString('base64url')}`;
}

/** A new public client id. */
export function createClientId(tenantId: number): string {
  return `slc_${tenantId}_${randomBytes(16).toString('base64url')}`;
}

/** A new client secret: 256 random bits, so that SHA-256 stores it safely. */
export function createClientSecret(): string {
  return `scs_${randomBytes(32).toString('base64url')}`;
}

/** Tenant of a refresh token or client id; undefined when the text is not one. */
export function findTenantOf(prefix: 'srt' | 'slc', text: string): number | undefined {
  const match = /^(srt|slc)_([1-9]\d{0,9})_[A-Za-z0-9_-]{22,43}$/.exec(text);
  if (match?.[1] !== prefix) return undefined;
  const tenantId = Number(match[2]);
  return tenantId <= MAX_TENANT ? tenantId : undefined;
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Compares two SHA-256 digests in constant time. */
export function sameDigest(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
