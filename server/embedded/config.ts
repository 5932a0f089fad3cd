/**
 * The environment handed to PostgreSQL's programs. Only what they need: PGPORT, PGOPTIONS, LC_ALL and
 * the like of whoever starts Sluice must not change how the database behaves.
 */
export function createChildEnvironment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const kept = [
    'PATH',
    'Path',
    'SystemRoot',
    'TEMP',
    'TMP',
    'TMPDIR',
    'LD_LIBRARY_PATH',
    'DYLD_LIBRARY_PATH',
  ];
  const environment: NodeJS.ProcessEnv = { LC_ALL: 'C', TZ: 'UTC' };
  for (const name of kept) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...extra };
}
