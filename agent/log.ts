/** Log lines on a stream: for people, or one JSON object each. Never secrets, never the data of records. */

export type Level = 'info' | 'warn' | 'error';

export interface Log {
  info(event: string, details?: Record<string, unknown>): void;
  warn(event: string, details?: Record<string, unknown>): void;
  error(event: string, details?: Record<string, unknown>): void;
}

export interface TextStream {
  write(text: string): unknown;
}

export function createLog(
  stream: TextStream,
  { json, now = () => new Date() }: { json: boolean; now?: () => Date },
): Log {
  const line = (level: Level, event: string, details: Record<string, unknown> = {}): void => {
    const time = now().toISOString();
    if (json) stream.write(`${JSON.stringify({ time, level, event, ...details })}\n`);
    else
      stream.write(
        `${time} ${level.toUpperCase().padEnd(5)} ${event.replaceAll('_', ' ')}${textOf(details)}\n`,
      );
  };
  return {
    info: (event, details) => line('info', event, details),
    warn: (event, details) => line('warn', event, details),
    error: (event, details) => line('error', event, details),
  };
}

function textOf(details: Record<string, unknown>): string {
  const parts = Object.entries(details).map(([name, value]) => ` ${name}=${format(value)}`);
  return parts.join('');
}

function format(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /\s/.test(text) && typeof value === 'string' ? JSON.stringify(value) : text;
}
