import { STATUS_CODES } from 'node:http';
import type { Context, Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import { toAppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { findNotBuilt } from '../not-built.ts';

/** Turns what was thrown into `application/problem+json` (RFC 9457); anything unexpected is logged and said as `internal`. */
export function problemDetails(log: Logger): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw notFound(ctx.path);
      if (ctx.status === 405 && ctx.body === undefined) throw new AppError('method_not_allowed');
    } catch (error) {
      const refusal = toRefusal(error);
      if (refusal.code === 'internal')
        log.error({ err: refusal.cause, requestId: requestIdOf(ctx) }, 'request failed');
      writeProblem(ctx, refusal);
    }
  };
}

function notFound(path: string): AppError {
  const message = findNotBuilt(path);
  return new AppError('route_not_found', message === undefined ? {} : { message });
}

/** Writes one refusal as the response. */
export function writeProblem(ctx: Context, refusal: AppError): void {
  const { errors, members, retryAfterMs } = refusal.details;
  ctx.status = refusal.status;
  if (retryAfterMs !== undefined) ctx.set('Retry-After', String(Math.ceil(retryAfterMs / 1_000)));
  ctx.body = {
    type: `urn:sluice:error:${refusal.code}`,
    title: STATUS_CODES[refusal.status] ?? 'Error',
    status: refusal.status,
    detail: refusal.message,
    code: refusal.code,
    success: false,
    message: refusal.message,
    requestId: requestIdOf(ctx),
    ...(errors ? { errors } : {}),
    ...members,
  };
  ctx.type = 'application/problem+json';
}

function toRefusal(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { status, type } = error as { status?: unknown; type?: unknown };
  // what the body parser throws
  if (type === 'entity.too.large' || status === 413)
    return new AppError('payload_too_large', { cause: error });
  if (error instanceof SyntaxError || type === 'entity.parse.failed')
    return new AppError('invalid_json', { cause: error });
  if (status === 415) return new AppError('unsupported_media_type', { cause: error });
  if (status === 404) return new AppError('route_not_found', { cause: error });
  if (status === 400) return new AppError('invalid_request', { cause: error });
  return toAppError(error);
}

function requestIdOf(ctx: Context): string {
  return String(ctx.state['requestId'] ?? '');
}
