import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** What the client takes from its environment; docs/CLI.md lists the variables. */
export interface Environment {
  /** Base URL of the gateway. */
  url: string;
  /** Folder of the sessions, mode 0700. */
  configDir: string;
  /** Admin key given by the environment. */
  adminKey: string | undefined;
  /** Where a gateway on this machine leaves its admin key. */
  adminKeyFile: string;
  /** Folder that relative paths on the command line start from. */
  workingDir: string;
  noColor: boolean;
}

export const DEFAULT_URL = 'http://127.0.0.1:8300';

/** Reads a set of environment variables; empty ones count as left out. */
export function parseEnvironment(
  variables: Record<string, string | undefined>,
  platform: NodeJS.Platform = process.platform,
): Environment {
  const read = (name: string): string | undefined => variables[name] || undefined;
  // npm runs scripts in the package's folder and leaves the caller's in INIT_CWD.
  const workingDir = read('INIT_CWD') ?? process.cwd();
  return {
    url: read('SLUICE_URL') ?? DEFAULT_URL,
    configDir: read('SLUICE_CONFIG_DIR') ?? defaultConfigDir(read, platform),
    adminKey: read('SLUICE_ADMIN_KEY') ?? read('INTERNAL_API_KEY'),
    adminKeyFile: resolve(read('DATA_DIR') ?? '.sluice', 'admin.key'),
    workingDir,
    noColor: read('NO_COLOR') !== undefined || read('TERM') === 'dumb',
  };
}

/** The process's own environment. */
export function readEnvironment(): Environment {
  return parseEnvironment(process.env);
}

function defaultConfigDir(read: (name: string) => string | undefined, platform: NodeJS.Platform): string {
  const home = read('HOME') ?? homedir();
  if (platform === 'win32') return join(read('APPDATA') ?? join(home, 'AppData', 'Roaming'), 'sluice');
  return join(read('XDG_CONFIG_HOME') ?? join(home, '.config'), 'sluice');
}
