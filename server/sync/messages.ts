import type { z } from 'zod';
import { isDeeperThan } from '../../protocol/canonical.ts';
import { AppError, faultsOf } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * Parses a message once, at the edge: what is inside is typed. Throws AppError `invalid_message` with the first path
 * that does not fit, and `payload_too_large` for more mutations than the wire allows.
 */
export function parseMessage<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  if (isDeeperThan(body, LIMITS.depth)) {
    throw new AppError('invalid_message', {
      message: `The message is nested deeper than ${LIMITS.depth} levels.`,
    });
  }
  if (hasBinary(body))
    throw new AppError('invalid_message', { message: 'The message is not JSON throughout.' });
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const errors = faultsOf(parsed.error);
  const tooMany = parsed.error.issues.some(
    (issue) => issue.code === 'too_big' && issue.path.join('.') === 'mutations',
  );
  if (tooMany)
    throw new AppError('payload_too_large', { message: 'Too many mutations in one batch.', errors });
  const [first] = errors;
  const where = first ? `${first.path || 'the message'}: ${first.message}` : 'it has another form';
  throw new AppError('invalid_message', { message: `The message does not parse: ${where}.`, errors });
}

/** Socket.IO puts binary attachments into the message: JSON has none, and each later look at one would be slow. */
function hasBinary(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false;
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || Object.values(value).some(hasBinary);
}
