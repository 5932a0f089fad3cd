import type { z } from 'zod';
import { isDeeperThan } from '../../protocol/canonical.ts';
import { AppError, faultsOf } from '../../protocol/errors.ts';
import type { InputFault } from '../../protocol/errors.ts';
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
  const { binary, proto } = findOddities(body);
  if (binary) throw new AppError('invalid_message', { message: 'The message is not JSON throughout.' });
  const parsed = schema.safeParse(body);
  if (parsed.success) {
    if (proto && isObject(body) && isObject(parsed.data))
      keepProto(body, parsed.data, { path: '', isRecord: false });
    return parsed.data;
  }
  const errors = faultsOf(parsed.error);
  const tooMany = parsed.error.issues.some(
    (issue) => issue.code === 'too_big' && issue.path.join('.') === 'mutations',
  );
  if (tooMany)
    throw new AppError('payload_too_large', { message: 'Too many mutations in one batch.', errors });
  throw invalid(errors);
}

/** What Socket.IO lets through, or zod leaves out without a word. */
interface Oddities {
  /** Attachments: JSON has none, and each later look at one would be slow. */
  binary: boolean;
  /** JSON has it as a name like any other. */
  proto: boolean;
}

const PROTO = '__proto__';

function findOddities(value: unknown, odd: Oddities = { binary: false, proto: false }): Oddities {
  if (value === null || typeof value !== 'object') return odd;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) odd.binary = true;
  else if (Array.isArray(value)) for (const member of value) findOddities(member, odd);
  else
    for (const key of Object.keys(value)) {
      if (key === PROTO) odd.proto = true;
      findOddities((value as Record<string, unknown>)[key], odd);
    }
  return odd;
}

/** Where a mutation names the fields of its record. */
const NAMES_FIELDS = new Set(['data', 'set', 'increment', 'guard']);

/**
 * Puts a field called `__proto__` back where zod has left it out, so that its mutation gets a verdict for it (V4); in the
 * message itself the name is refused.
 */
function keepProto(given: object, parsed: object, place: { path: string; isRecord: boolean }): void {
  const { path, isRecord } = place;
  const keys = Object.keys(parsed);
  if (Object.hasOwn(given, PROTO)) {
    if (!isRecord) throw invalid([{ path: `${path}${PROTO}`, message: 'is not a name for a field' }]);
    const value: unknown = Object.getOwnPropertyDescriptor(given, PROTO)?.value;
    // defined, for an assignment would reach the prototype
    Object.defineProperty(parsed, PROTO, { value, enumerable: true, configurable: true, writable: true });
  }
  for (const key of keys) {
    const [before, after] = [(given as Fields)[key], (parsed as Fields)[key]];
    // what zod does not look into it hands on as it is
    if (before === after || !isObject(before) || !isObject(after)) continue;
    keepProto(before, after, { path: `${path}${key}.`, isRecord: isRecord || NAMES_FIELDS.has(key) });
  }
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function invalid(errors: InputFault[]): AppError {
  const [first] = errors;
  const where = first ? `${first.path || 'the message'}: ${first.message}` : 'it has another form';
  return new AppError('invalid_message', { message: `The message does not parse: ${where}.`, errors });
}
