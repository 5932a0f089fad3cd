import type { Context, Middleware } from 'koa';
import type { z } from 'zod';
import { AppError, faultsOf } from '../../protocol/errors.ts';
import { callerAddress, forwardedIn } from '../auth/addresses.ts';
import type { Caller } from '../auth/core.ts';

/** Parses what came in. Throws `invalid_request` with every fault and its path. */
export function parseInput<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new AppError('invalid_request', { errors: faultsOf(parsed.error) });
  return parsed.data;
}

/** A route whose JSON body fits `schema`. An absent body counts as `{}`. */
export function withBody<Schema extends z.ZodType>(
  schema: Schema,
  handle: (ctx: Context, input: z.output<Schema>) => Promise<void>,
): Middleware {
  return async (ctx) => {
    if (ctx.get('Content-Length') !== '0' && ctx.is('application/json') === false) {
      throw new AppError('unsupported_media_type');
    }
    await handle(ctx, parseInput(schema, ctx.request.body ?? {}));
  };
}

/** A route whose query string fits `schema`. */
export function withQuery<Schema extends z.ZodType>(
  schema: Schema,
  handle: (ctx: Context, input: z.output<Schema>) => Promise<void>,
): Middleware {
  return (ctx) => handle(ctx, parseInput(schema, { ...ctx.query }));
}

/** Where the request comes from. The address is the connection's, or the next proxy's word when TRUST_PROXY is set. */
export function callerOf(ctx: Context): Caller {
  const requestId: unknown = ctx.state['requestId'];
  return {
    ip: callerAddress(ctx.req.socket.remoteAddress ?? '', ctx.app.proxy ? forwardedIn(ctx.req) : undefined),
    userAgent: ctx.get('User-Agent'),
    ...(typeof requestId === 'string' ? { requestId } : {}),
  };
}

/** A named part of the path. */
export function paramOf(ctx: Context, name: string): string {
  const params = (ctx as { params?: Record<string, string> }).params;
  return params?.[name] ?? '';
}
