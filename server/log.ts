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
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    },
    stream,
  );
}
