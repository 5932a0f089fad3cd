import { AppError } from '../protocol/errors.ts';
import { isUnavailable } from './db.ts';

/** What was thrown, as the refusal that goes out: expected ones as they are, an absent database by its name. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isUnavailable(error)) return new AppError('unavailable', { retryAfterMs: 1_000, cause: error });
  return new AppError('internal', { cause: error });
}
