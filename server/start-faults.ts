import type { Config } from './config.ts';

interface SystemError {
  code?: string;
  syscall?: string;
  port?: number;
  address?: string;
  hostname?: string;
}

/** Says in a sentence why the gateway could not start, and what to do. */
export function explainStart(error: unknown, config: Config): Error {
  const { code = '' } = error as SystemError;
  // several addresses that were tried leave no message of their own
  const text = (error instanceof Error ? error.message : String(error)) || code;
  const message = explainListening(error as SystemError, config);
  const isDatabase = UNREACHABLE.has(code) || /^(28|3D)/.test(code);
  const database =
    isDatabase && config.DATABASE_URL !== undefined
      ? `The database that DATABASE_URL names cannot be used: ${text}. ${databaseAdvice(code)}`
      : undefined;
  return new Error(message ?? database ?? `Sluice could not start: ${text}`, { cause: error });
}

function databaseAdvice(code: string): string {
  if (code.startsWith('28'))
    return 'Correct the user and password in DATABASE_URL, or allow them in pg_hba.conf.';
  if (code.startsWith('3D')) return 'Make it (createdb), or correct its name in DATABASE_URL.';
  const what =
    code === 'ECONNREFUSED'
      ? 'Nothing listens there: start PostgreSQL, or correct host and port.'
      : 'Correct the host, or see whether a firewall is in between.';
  return `${what} Or leave DATABASE_URL out: then Sluice starts a PostgreSQL of its own.`;
}

/** A name in HOST is looked up before it is listened on. */
function explainListening(error: SystemError, config: Config): string | undefined {
  const { code = '', syscall, port, address, hostname } = error;
  const isListening = syscall === 'listen' || (syscall === 'getaddrinfo' && hostname === config.HOST);
  return isListening ? LISTENING[code]?.(port ?? config.PORT, address ?? config.HOST) : undefined;
}

const LISTENING: Record<string, (port: number, host: string) => string> = {
  EADDRINUSE: (port, host) =>
    `Something listens on ${host}:${port} already: stop it, or set PORT to another one.`,
  EADDRNOTAVAIL: (_port, host) => `This machine has no address ${host}: set HOST to one of its own.`,
  ENOTFOUND: (_port, host) =>
    `${host} is no name of this machine: set HOST to 127.0.0.1, or to an address of its own.`,
  EACCES: (port) => `Listening on port ${port} is not permitted: set PORT.`,
};

const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT']);
