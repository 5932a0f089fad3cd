import type { InputFault } from '../protocol/errors.ts';
import { ApiError, ConnectRefused, SluiceError } from '../sdk/index.ts';

/** How the process ends; docs/CLI.md says the same. 69 and 77 are those of sysexits.h. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 69, forbidden: 77 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An expected end of a command: what is wrong, what to do about it, and the exit code. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly hint: string | undefined;
  /** What is wrong with what was sent, one by one. */
  faults: readonly InputFault[] = [];

  constructor(exitCode: ExitCode, code: string, message: string, hint?: string) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.code = code;
    this.hint = hint;
  }
}

export const HINTS = {
  start: 'Start a gateway with `npm start`, or name another one with --url or SLUICE_URL.',
  silent: 'Somebody listens there but does not answer: look at the log of the gateway and at /health/ready.',
  login: 'Log in first: npm run sluice -- login',
  verify: 'Verify it first: npm run sluice -- verify',
  browser: 'Log in in the browser: npm run sluice -- login --device',
  password: 'Log in with your password, in a terminal: npm run sluice -- login <name>',
  rights: 'Ask an administrator for the right: npm run sluice -- admin users grant --help',
  adminKey:
    'Give the admin key with --admin-key-file or SLUICE_ADMIN_KEY, or run this beside the gateway (DATA_DIR).',
} as const;

export function usageError(message: string, hint?: string): CliError {
  return new CliError(EXIT.usage, 'usage', message, hint);
}

/** Reads whatever was thrown. The message never contains what was sent. */
export function toFailure(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ApiError) return inCommands(fromApi(error));
  if (error instanceof ConnectRefused) return fromCode(error.code, error.message);
  if (error instanceof SluiceError) return fromEngine(error);
  const message = error instanceof Error ? error.message : String(error);
  return new CliError(EXIT.failed, 'internal', message);
}

/** A refusal by its code, as acknowledgements and connection states have it. */
export function fromCode(code: string, message: string): CliError {
  if (NOT_LOGGED_IN.has(code)) return new CliError(EXIT.forbidden, code, message, HINTS.login);
  if (code === 'email_not_verified') return new CliError(EXIT.forbidden, code, message, HINTS.verify);
  if (code === 'mfa_required') return new CliError(EXIT.forbidden, code, message, HINTS.browser);
  if (code === 'invalid_credentials') return new CliError(EXIT.forbidden, code, message);
  if (code.startsWith('forbidden')) {
    const hint = LACKS_RIGHT.test(message) ? HINTS.rights : undefined;
    return new CliError(EXIT.forbidden, code, message, hint);
  }
  return new CliError(EXIT.failed, code, message);
}

/** Refusals that a right would turn: others say themselves what is to be done. */
const LACKS_RIGHT = /^You may not\b|\bneeds the scope\b|\brights that you do not have\b/;

export function unreachable(message: string): CliError {
  const hint = /\bin time\b|no answer within/.test(message) ? HINTS.silent : HINTS.start;
  return new CliError(EXIT.unreachable, 'unreachable', message, hint);
}

const NOT_LOGGED_IN = new Set(['unauthenticated', 'invalid_token', 'token_expired', 'revoked']);

function fromApi(error: ApiError): CliError {
  const { status, code, retryAfterMs } = error;
  if (status === 0) return unreachable(error.message.replace(/: check .*$/, '.'));
  const { message } = error;
  if (error.errors.length > 0) {
    // they are shown below it
    const failure = fromCode(code, message.replace(/: see `errors`\.$/, '.'));
    failure.faults = error.errors;
    return failure;
  }
  if (code === 'invalid_response' || status === 502)
    return new CliError(EXIT.failed, code, `${message} Is this a Sluice gateway?`);
  const known = fromCode(code, message);
  if (known.exitCode === EXIT.failed && (status === 401 || status === 403))
    return new CliError(EXIT.forbidden, code, message, status === 401 ? HINTS.login : HINTS.rights);
  if (retryAfterMs === undefined) return known;
  const wait = `Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`;
  return new CliError(known.exitCode, code, message, wait);
}

/** The gateway speaks of its API; here the same is done by a command or an option. */
const COMMANDS: readonly (readonly [string, string])[] = [
  ['send `force: true`', 'give --force'],
  ['see GET /api/v1/admin/roles', 'see npm run sluice -- admin roles list'],
  ['create it with POST /api/v1/admin/tenants', 'create it with npm run sluice -- admin tenants create'],
];

function inCommands(failure: CliError): CliError {
  const say = (text: string): string =>
    COMMANDS.reduce((said, [api, command]) => said.replace(api, command), text);
  const { exitCode, code, message, hint, faults } = failure;
  const told = new CliError(exitCode, code, say(message), hint);
  told.faults = faults.map((fault) => ({ ...fault, message: say(fault.message) }));
  return told;
}

function fromEngine(error: SluiceError): CliError {
  if (error.code === 'timeout' || error.code === 'disconnected') return unreachable(error.message);
  return new CliError(EXIT.failed, error.code, error.message);
}
