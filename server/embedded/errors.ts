/** What can go wrong with the embedded database; `main.ts` prints the message and exits. */
export type EmbeddedPostgresErrorCode =
  | 'binaries_missing'
  | 'binaries_unusable'
  | 'cannot_run_as_root'
  | 'data_dir_foreign'
  | 'data_dir_in_use'
  | 'data_dir_unwritable'
  | 'data_dir_version'
  | 'disk_full'
  | 'initdb_failed'
  | 'password_mismatch'
  | 'port_in_use'
  | 'start_failed';

/** A failure the person who starts Sluice can act on: its message says what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The way out that every message about the embedded database may offer. */
export const useDatabaseUrl = 'or set DATABASE_URL to a PostgreSQL (15 to 18) of your own';

/** The system's error code (`ENOENT`, …) of a failed call, if it has one. */
export function findErrno(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Turns a file system failure under `path` into a message a person can act on; rethrows what it does not know. */
export function asDataDirError(error: unknown, path: string): unknown {
  const errno = findErrno(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return diskFull(path, error);
  if (
    errno === 'EACCES' ||
    errno === 'EPERM' ||
    errno === 'EROFS' ||
    errno === 'ENOTDIR' ||
    errno === 'EEXIST'
  ) {
    const message = `cannot write to the data folder ${path} (${errno}): choose another DATA_DIR, ${useDatabaseUrl}`;
    return new EmbeddedPostgresError('data_dir_unwritable', message, error);
  }
  return error;
}

/** The error for a full disk, whoever noticed it first. */
export function diskFull(path: string, cause?: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    'disk_full',
    `the disk that holds ${path} is full: free some space and start again (what was committed is kept)`,
    cause,
  );
}
