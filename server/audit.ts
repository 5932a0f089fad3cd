import type { Sql } from './db.ts';

/** One event for the audit log. `details` says what it was done to; never a secret. */
export interface AuditEvent {
  tenantId: number;
  /** Such as `auth.login`, `oauth.token`, `sync.push`. */
  action: string;
  /** `kind:id` (see `principalKey`); null for an unknown caller. */
  principal: string | null;
  success: boolean;
  /** Error code, when it was refused. */
  code?: string;
  ip?: string | undefined;
  requestId?: string | undefined;
  details?: Record<string, unknown>;
}

/** Appends audit rows inside the caller's transaction, so that an event and its effect are committed together (P9). */
export async function appendAudit(sql: Sql, ...events: AuditEvent[]): Promise<void> {
  await sql(INSERT, [encodeAudit(...events)]);
}

/** The same as a part of a larger statement: `value` is the place of `encodeAudit`, `beside` what it depends on. */
export function auditInsert(value: string, beside = ''): string {
  return `INSERT INTO audit_logs (tenant_id, action, principal, success, code, ip, request_id, details)
  SELECT event.tenant_id, action, principal, success, code, ip, request_id, details
  FROM json_to_recordset(${value}) AS event(tenant_id integer, action text, principal text, success boolean, code text,
                                      ip text, request_id text, details jsonb)${beside}`;
}

const INSERT = auditInsert('$1');

export function encodeAudit(...events: AuditEvent[]): string {
  return JSON.stringify(events.map(toRow));
}

function toRow(event: AuditEvent): Record<string, unknown> {
  return {
    tenant_id: event.tenantId,
    action: event.action,
    principal: event.principal,
    success: event.success,
    code: event.code ?? null,
    ip: event.ip ?? null,
    request_id: event.requestId ?? null,
    details: event.details ?? {},
  };
}
