/** Why the agent stops, as its exit code (docs/AGENT.md, "Exit codes"). */
export const EXIT = {
  ok: 0,
  fault: 1,
  usage: 2,
  temporary: 75,
  notAllowed: 77,
  configuration: 78,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each is called in the errors of `--json`. */
export const EXIT_NAMES = {
  [EXIT.ok]: 'ok',
  [EXIT.fault]: 'failed',
  [EXIT.usage]: 'usage',
  [EXIT.temporary]: 'temporary',
  [EXIT.notAllowed]: 'not_allowed',
  [EXIT.configuration]: 'configuration',
} as const;

/** What to look at when the gateway does not accept the credentials. */
export const REFUSED_HINT =
  'the gateway does not accept these credentials: is clientId right, the secret (or the key registered for it) the current one, the client not disabled?';

/** An expected end of a command: its message is for the person at the keyboard, no stack is shown. */
export class AgentError extends Error {
  readonly exitCode: ExitCode;
  /** Every fault by itself, when there are several. */
  readonly faults: readonly string[];

  constructor(exitCode: ExitCode, message: string, faults: readonly string[] = []) {
    super(message);
    this.name = 'AgentError';
    this.exitCode = exitCode;
    this.faults = faults;
  }
}

export type SqliteFault = 'busy' | 'full' | 'io' | 'other';

/** What a failure of SQLite, or of a file beside it, means for us: `busy`, `full` and `io` pass, or are cleared by people. */
export function sqliteFaultOf(error: unknown): SqliteFault | undefined {
  const name = sqliteNameOf(error);
  if (name === undefined) return fileFaultOf(error);
  if (name.startsWith('SQLITE_BUSY') || name.startsWith('SQLITE_LOCKED')) return 'busy';
  if (name.startsWith('SQLITE_FULL')) return 'full';
  return /^SQLITE_(IOERR|CANTOPEN|READONLY)/.test(name) ? 'io' : 'other';
}

/** The store of the SDK wraps what SQLite said. */
function sqliteNameOf(error: unknown): string | undefined {
  for (const one of causesOf(error))
    if ('sqliteCodeName' in one && typeof one.sqliteCodeName === 'string') return one.sqliteCodeName;
  return undefined;
}

const FILE_FAULTS: Record<string, SqliteFault> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EIO: 'io',
  EROFS: 'io',
  EACCES: 'io',
};

function fileFaultOf(error: unknown): SqliteFault | undefined {
  for (const one of causesOf(error)) {
    const fault = 'code' in one && typeof one.code === 'string' ? FILE_FAULTS[one.code] : undefined;
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function* causesOf(error: unknown): Iterable<Error> {
  for (let at: unknown = error; at instanceof Error; at = at.cause) yield at;
}
