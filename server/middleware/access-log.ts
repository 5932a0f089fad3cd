import type { Middleware } from 'koa';
import type { Logger } from '../log.ts';
import type { Principal } from '../auth/principal.ts';
import { principalKey } from '../auth/principal.ts';
import { callerOf } from './input.ts';

/** One wide line per request at its end; never the body, the query or a header that could hold a secret. */
export function accessLog(log: Logger): Middleware {
  return async (ctx, next) => {
    const started = performance.now();
    await next();
    const principal = ctx.state['principal'] as Principal | undefined;
    // what a page and a load balancer ask for all day long says nothing when it went well
    const isRoutine = ctx.status < 400 && /^\/($|assets\/|health|metrics|[\w-]+\.\w+$)/.test(ctx.path);
    log[isRoutine ? 'debug' : 'info'](
      {
        method: ctx.method,
        // what stands in for a path that holds more than an address
        path: (ctx.state['loggedPath'] as string | undefined) ?? ctx.path,
        status: ctx.status,
        ms: Math.round((performance.now() - started) * 10) / 10,
        requestId: ctx.state['requestId'] as string,
        ip: callerOf(ctx).ip,
        ...(principal ? { principal: principalKey(principal), tenantId: principal.tenantId } : {}),
      },
      'request',
    );
  };
}
