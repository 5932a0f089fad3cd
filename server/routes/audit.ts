import Router from '@koa/router';
import { z } from 'zod';
import { verifyAudit } from '../audit-seals.ts';
import type { AuditProof } from '../audit-seals.ts';
import type { Identity } from '../auth/identity.ts';
import { moment, text } from '../auth/names.ts';
import type { Sql } from '../db.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { withQuery } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';

const filter = z.object({
  action: text.max(100).optional(),
  principal: text.max(100).optional(),
  from: moment.optional(),
  to: moment.optional(),
  success: z.stringbool().optional(),
  after: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});

/** The audit log of the caller's tenant, newest first; `after` is the `next` of the page before. */
export function auditRoutes(deps: { identity: Identity; limits: RateLimits }): Router {
  const router = new Router();
  router.get(
    '/audit/logs',
    requireAuth(deps, { scope: 'audit:read' }),
    withQuery(filter, async (ctx, input) => {
      const logs = await findLogs(deps.identity.core.db.sql, principalOf(ctx).tenantId, input);
      ctx.set('Cache-Control', 'no-store');
      ctx.body = {
        success: true,
        logs,
        next: logs.length === input.limit ? (logs.at(-1)?.id ?? null) : null,
      };
    }),
  );
  const verifying = new Map<number, Promise<AuditProof>>();
  router.get('/audit/verify', requireAuth(deps, { scope: 'audit:read' }), deps.limits.strict, async (ctx) => {
    const { tenantId } = principalOf(ctx);
    // it reads the whole log: whoever asks meanwhile gets the same answer
    const proof = verifying.get(tenantId) ?? verifyAudit(deps.identity.core, tenantId);
    verifying.set(tenantId, proof);
    try {
      ctx.body = { success: true, ...(await proof) };
    } finally {
      verifying.delete(tenantId);
    }
    ctx.set('Cache-Control', 'no-store');
  });
  return router;
}

interface LogView {
  id: number;
  at: Date;
  action: string;
  principal: string | null;
  success: boolean;
  code: string | null;
  ip: string | null;
  requestId: string | null;
  details: Record<string, unknown>;
}

async function findLogs(sql: Sql, tenantId: number, input: z.output<typeof filter>): Promise<LogView[]> {
  return sql<LogView>(
    `SELECT id, at, action, principal, success, code, ip, request_id AS "requestId", details FROM audit_logs
     WHERE tenant_id = $1 AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR principal = $3)
       AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
       AND ($6::boolean IS NULL OR success = $6) AND ($7::bigint IS NULL OR id < $7)
     ORDER BY id DESC LIMIT $8`,
    [
      tenantId,
      input.action ?? null,
      input.principal ?? null,
      input.from ?? null,
      input.to ?? null,
      input.success ?? null,
      input.after ?? null,
      input.limit,
    ],
  );
}
