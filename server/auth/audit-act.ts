import { appendAudit } from '../audit.ts';
import type { Sql } from '../db.ts';
import type { Caller } from './core.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';

/** What somebody who is known did in their own tenant, or was refused with `code`. */
export interface Act {
  action: string;
  code?: string | undefined;
  details?: Record<string, unknown> | undefined;
}

/** Appends the audit row of an act, inside the transaction of its effect. */
export async function auditAct(
  sql: Sql,
  by: Pick<Principal, 'tenantId' | 'kind' | 'id'>,
  caller: Caller,
  { action, code, details }: Act,
): Promise<void> {
  await appendAudit(sql, {
    tenantId: by.tenantId,
    action,
    principal: principalKey(by),
    success: code === undefined,
    ...(code === undefined ? {} : { code }),
    ip: caller.ip,
    requestId: caller.requestId,
    ...(details === undefined ? {} : { details }),
  });
}
