import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Opaque identifiers carry their tenant, so that every look-up can begin with tenant_id. */

const MAX_TENANT = 2_147_483_647;

/** A new refresh token: 256 random bits. */
export function createRefreshToken(tenantId: number): string {
  return `srt_${tenantId}_${randomBytes(32).toString('base64url')}`;
}

/** A new token of an invitation: 256 random bits, mailed once. */
export function createInvitationToken(tenantId: number): string {
  return `siv_${tenantId}_${randomBytes(32).toString('base64url')}`;
}

/** A new token for the second step of a login: 256 random bits. */
export function createMfaToken(tenantId: number): string {
  return `smt_${tenantId}_${randomBytes(32).toString('base64url')}`;
}

/** A new public client id. */
export function createClientId(tenantId: number): string {
  return `slc_${tenantId}_${randomBytes(16).toString('base64url')}`;
}

/** A new client secret: 256 random bits, so that SHA-256 stores it safely. */
export function createClientSecret(): string {
  return `scs_${randomBytes(32).toString('base64url')}`;
}

const API_KEY = /^slk_([1-9]\d{0,9})_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

/** A new API key: a prefix that finds it, and 256 random bits that prove it. */
export function createApiKey(tenantId: number): { key: string; prefix: string } {
  const prefix = randomBytes(8).toString('hex');
  return { key: `slk_${tenantId}_${prefix}_${randomBytes(32).toString('base64url')}`, prefix };
}

/** Where an API key is looked up; undefined when the text is none. */
export function findKeyPlace(text: string): { tenantId: number; prefix: string } | undefined {
  const [, tenant, prefix] = API_KEY.exec(text) ?? [];
  const tenantId = Number(tenant);
  return prefix === undefined || tenantId > MAX_TENANT ? undefined : { tenantId, prefix };
}

/** Tenant of a refresh token, client id or invitation; undefined when the text is not one. */
export function findTenantOf(prefix: 'srt' | 'smt' | 'slc' | 'siv', text: string): number | undefined {
  const match = /^(srt|smt|slc|siv)_([1-9]\d{0,9})_[A-Za-z0-9_-]{22,43}$/.exec(text);
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
