import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/** Keys whose values never reach a log line, wherever they stand. */
const SECRET_KEYS = [
  'password',
  'token',
  'access_token',
  'refresh_token',
  'client_secret',
  'accessToken',
  'refreshToken',
  'apiKey',
  'x-api-key',
  'authorization',
  'cookie',
  'code',
];

/**
 * Creates the process's logger: JSON lines on standard error, one wide line per request or connection at its end.
 * Standard output stays free for what a person or a script reads (`listening …`).
 */
export function createLogger(level: string, stream: NodeJS.WritableStream = process.stderr): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: toLogged },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    },
    stream,
  );
}

/** What is logged of an error beside its kind, message and stack: names, of PostgreSQL's table and rule among them. */
const SAID_OF_ERRORS = ['schema', 'table', 'column', 'constraint', 'routine', 'syscall', 'address', 'port'];

/**
 * Never what an error carries along: PostgreSQL's `detail` and `where` hold the failing row and the values of the statement, TypeORM's
 * `parameters` too, and with them whatever is secret in a row (S61).
 */
function toLogged(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { type, message, stack } = pino.stdSerializers.err(error);
  const fields = error as unknown as Record<string, unknown>;
  const said = SAID_OF_ERRORS.filter((name) => fields[name] !== undefined).map((name) => [
    name,
    fields[name],
  ]);
  // `code` is redacted wherever it stands
  return { type, message, stack, errorCode: fields['code'], ...(Object.fromEntries(said) as object) };
}
