import Router from '@koa/router';
import { SLUICE_VERSION } from '../../protocol/version.ts';
import type { Database } from '../db.ts';
import type { Metrics } from '../metrics.ts';

interface HealthDeps {
  db: Database;
  metrics: Metrics;
  /** False while the gateway drains. */
  accepting: () => boolean;
}

/** Health for people and load balancers, figures for Prometheus. */
export function healthRoutes(deps: HealthDeps): Router {
  const router = new Router();
  const started = Date.now();
  router.get(['/health', '/api/health'], async (ctx) => {
    const database = await checkDatabase(deps.db);
    ctx.status = database === 'ok' ? 200 : 503;
    ctx.body = {
      status: database === 'ok' ? 'ok' : 'degraded',
      version: SLUICE_VERSION,
      uptime: Math.round((Date.now() - started) / 1_000),
      checks: { database },
    };
  });
  router.get('/health/live', (ctx) => {
    ctx.body = { status: 'ok' };
  });
  router.get('/health/ready', async (ctx) => {
    const ready = deps.accepting() && (await checkDatabase(deps.db)) === 'ok';
    ctx.status = ready ? 200 : 503;
    ctx.body = { status: ready ? 'ok' : 'unavailable' };
  });
  router.get('/metrics', async (ctx) => {
    ctx.type = deps.metrics.registry.contentType;
    ctx.body = await deps.metrics.registry.metrics();
  });
  return router;
}

async function checkDatabase(db: Database): Promise<'ok' | 'unreachable'> {
  try {
    await db.sql('SELECT 1');
    return 'ok';
  } catch {
    return 'unreachable';
  }
}
