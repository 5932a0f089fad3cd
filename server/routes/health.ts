import Router from '@koa/router';
import { SLUICE_VERSION } from '../../protocol/version.ts';
import type { Database } from '../db.ts';
import type { Metrics } from '../metrics.ts';

interface HealthDeps {
  db: Pick<Database, 'sql'>;
  metrics: Metrics;
  /** False while the gateway drains. */
  accepting: () => boolean;
}

/** Health for people and load balancers, figures for Prometheus. */
export function healthRoutes(deps: HealthDeps): Router {
  const router = new Router();
  const started = Date.now();
  const checkDatabase = createCheck(deps.db);
  router.get(['/health', '/api/health'], async (ctx) => {
    const database = await checkDatabase();
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
    const ready = deps.accepting() && (await checkDatabase()) === 'ok';
    ctx.status = ready ? 200 : 503;
    ctx.body = { status: ready ? 'ok' : 'unavailable' };
  });
  router.get('/metrics', async (ctx) => {
    ctx.type = deps.metrics.registry.contentType;
    ctx.body = await deps.metrics.registry.metrics();
  });
  return router;
}

/** How long the database may take over nothing at all. */
const CHECK_MS = 2_000;

type Check = 'ok' | 'unreachable';

/** Asks the database, once for all who want to know at that time: those who ask must not take up its connections. */
function createCheck(db: Pick<Database, 'sql'>): () => Promise<Check> {
  let asking: Promise<Check> | undefined;
  const ask = async (): Promise<Check> => {
    try {
      await db.sql('SELECT 1');
      return 'ok';
    } catch {
      return 'unreachable';
    } finally {
      asking = undefined;
    }
  };
  return async () => {
    asking ??= ask();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Check>((resolve) => (timer = setTimeout(resolve, CHECK_MS, 'unreachable')));
    try {
      return await Promise.race([asking, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
