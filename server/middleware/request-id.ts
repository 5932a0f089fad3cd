import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';

/** Takes a well-formed X-Request-Id or makes one, and returns it: what logs, errors and audit rows name. */
export function requestId(): Middleware {
  return async (ctx, next) => {
    const given = ctx.get('X-Request-Id');
    const id = /^[\w.-]{1,100}$/.test(given) ? given : randomUUID();
    ctx.state['requestId'] = id;
    ctx.set('X-Request-Id', id);
    await next();
  };
}
