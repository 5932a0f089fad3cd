import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { faultsOf } from '../protocol/errors.ts';
import { partitionName } from '../protocol/sync.ts';
import { privateKeyJwt } from '../sdk/private-key.ts';
import type { ClientCredential } from '../sdk/types.ts';
import { AgentError, EXIT } from './errors.ts';
import { mapping, sourcesOf } from './mapping.ts';
import type { Mapping } from './mapping.ts';
import { plainWords } from './plain-words.ts';
import { soundParts } from './sound-parts.ts';

const CLIENT_ID = 'must be the clientId that "sluice admin clients create" printed';
const PARTITION = 'must be as it is granted to the client: without spaces and *, such as branch-12';
const gateway = z.url({ protocol: /^https?$/ });

const file = z.strictObject({
  gateway: gateway.describe('Base URL of the gateway.'),
  clientId: z.string().regex(/^\S+$/, CLIENT_ID),
  clientSecret: z.string().min(1).optional(),
  clientSecretEnv: z.string().min(1).optional().describe('Name of an environment variable with the secret.'),
  clientSecretFile: z.string().min(1).optional().describe('File with the secret, mode 0600.'),
  privateKeyFile: z.string().min(1).optional().describe('File with a private key, PEM or JWK, mode 0600.'),
  keyId: z.string().min(1).optional().describe('The kid that the key is registered with.'),
  audience: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('PUBLIC_URL of the gateway, where it is reached by another address.'),
  partition: partitionName.regex(/^(?!.*:read$)[^\s*]+$/u, PARTITION).describe('The branch.'),
  database: z.string().min(1).describe('The ERP database (SQLite); relative to this file.'),
  backfill: z.boolean().default(true).describe('Queue the rows that were there before the agent.'),
  pollMs: z.number().int().min(20).max(10_000).default(75),
  busyTimeoutMs: z.number().int().min(100).max(10_000).default(2_500),
  reconnectCapMs: z.number().int().min(100).max(300_000).default(30_000),
  mapping,
});

const { clientSecret, clientSecretEnv, clientSecretFile, privateKeyFile, keyId, audience } = file.shape;
/** Not strict: looked at whatever else there is in the file. */
const credentialPart = z.object({
  ...{ clientSecret, clientSecretEnv, clientSecretFile, privateKeyFile, keyId, audience },
});

export interface AgentConfig {
  path: string;
  gateway: string;
  clientId: string;
  /** A secret, or a key to sign with. */
  credential: ClientCredential;
  partition: string;
  database: string;
  backfill: boolean;
  pollMs: number;
  busyTimeoutMs: number;
  /** The longest pause between two tries to connect. */
  reconnectCapMs: number;
  mapping: Mapping;
}

export type Environment = Record<string, string | undefined>;

/** The variables of this process: the one place that reads them. */
export function environment(): Environment {
  return process.env;
}

/** Reads and checks the configuration file. Throws AgentError 78 with every fault at once. */
export function loadConfig(path: string, env: Environment = environment()): AgentConfig {
  const { faults, config } = inspectConfig(path, env);
  if (!config) throw invalidConfig(path, faults);
  return config;
}

export interface Inspection {
  faults: string[];
  /** When there is no fault. */
  config?: AgentConfig;
  /** What can be looked at all the same; of the mapping all that has no fault. */
  gateway?: string;
  database?: string;
  mapping?: Mapping;
}

/** Everything that is wrong with a configuration file: its members, its mapping, and its secret or key. */
export function inspectConfig(path: string, env: Environment = environment()): Inspection {
  const given = readJson(path);
  const parsed = file.safeParse(given, { error: plainWords });
  const base = dirname(resolve(path));
  const faults = parsed.success
    ? []
    : faultsOf(parsed.error).map((fault) => `${fault.path || '(file)'}: ${fault.message}`);
  const proof = credentialPart.safeParse(given);
  const credential = proof.success ? findCredential(proof.data, { env, base }, faults) : undefined;
  const parts = partsOf(given);
  if (parts.mapping && isWhole(given)) faults.push(...mappingFaults(parts.mapping));
  const database = parts.database === undefined ? {} : { database: resolve(base, parts.database) };
  const found = { ...parts, ...database, faults };
  if (!parsed.success || credential === undefined || faults.length > 0) return found;
  const { gateway, clientId, partition, backfill, pollMs, busyTimeoutMs, reconnectCapMs } = parsed.data;
  const config = {
    ...{ gateway, clientId, partition, backfill, pollMs, busyTimeoutMs, reconnectCapMs },
    ...{ path: resolve(path), database: resolve(base, parsed.data.database), credential },
    mapping: parsed.data.mapping,
  };
  return { ...found, config };
}

function isWhole(given: unknown): boolean {
  return z.looseObject({ mapping }).safeParse(given).success;
}

function partsOf(given: unknown): Pick<Inspection, 'gateway' | 'database' | 'mapping'> {
  const members = z.record(z.string(), z.unknown()).catch({}).parse(given);
  const database = z.string().min(1).safeParse(members['database']);
  const address = gateway.safeParse(members['gateway']);
  const mapped = soundParts(mapping, members['mapping']);
  return {
    ...(address.success ? { gateway: address.data } : {}),
    ...(database.success ? { database: database.data } : {}),
    ...(mapped ? { mapping: mapped } : {}),
  };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    const reason = error instanceof SyntaxError ? `is not JSON: ${error.message}` : textOf(error);
    throw invalidConfig(path, [isMissing(error) ? 'there is no such file' : reason]);
  }
}

type CredentialPart = z.infer<typeof credentialPart>;
type Place = { env: Environment; base: string };

/** The members that say what the client proves itself with. */
const PROOFS = ['clientSecret', 'clientSecretEnv', 'clientSecretFile', 'privateKeyFile'] as const;

function findCredential(part: CredentialPart, place: Place, faults: string[]): ClientCredential | undefined {
  if (PROOFS.filter((name) => part[name] !== undefined).length !== 1) {
    faults.push(`clientSecret: give exactly one of ${PROOFS.slice(0, -1).join(', ')} and ${PROOFS.at(-1)}`);
    return undefined;
  }
  const { privateKeyFile, keyId, audience } = part;
  if (privateKeyFile !== undefined) return findKey({ ...part, privateKeyFile }, place, faults);
  for (const [name, value] of Object.entries({ keyId, audience }))
    if (value !== undefined) faults.push(`${name}: goes with privateKeyFile, not with a secret`);
  const clientSecret = findSecret(part, place, faults);
  return clientSecret === undefined ? undefined : { clientSecret };
}

function findKey(
  { privateKeyFile, keyId, audience }: CredentialPart & { privateKeyFile: string },
  { base }: Place,
  faults: string[],
): ClientCredential | undefined {
  const path = resolve(base, privateKeyFile);
  const text = readProtected('privateKeyFile', path, faults);
  if (!text) return undefined;
  try {
    const clientAssertion = privateKeyJwt(text, keyId === undefined ? {} : { keyId });
    return { clientAssertion, ...(audience === undefined ? {} : { audience }) };
  } catch (error) {
    faults.push(`privateKeyFile: ${path}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function findSecret(
  { clientSecret, clientSecretEnv, clientSecretFile }: CredentialPart,
  { env, base }: Place,
  faults: string[],
): string | undefined {
  if (clientSecretEnv !== undefined) {
    const value = env[clientSecretEnv];
    if (!value) faults.push(`clientSecretEnv: the variable ${clientSecretEnv} is not set`);
    return value;
  }
  if (clientSecretFile === undefined) return clientSecret;
  return readProtected('clientSecretFile', resolve(base, clientSecretFile), faults);
}

function readProtected(name: string, path: string, faults: string[]): string | undefined {
  try {
    // Windows has no such bits: there the folder's access list protects it.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
      faults.push(`${name}: others may read ${path}; run: chmod 600 ${path}`);
    const text = readFileSync(path, 'utf8').trim();
    if (text === '') faults.push(`${name}: ${path} is empty`);
    return text;
  } catch (error) {
    faults.push(`${name}: ${isMissing(error) ? absent(path) : textOf(error)}`);
    return undefined;
  }
}

function absent(path: string): string {
  const put = `(umask 077 && cat > '${path}')`;
  return `there is no file ${path}: run ${put}, paste the secret that "sluice admin clients create" printed, Enter, Ctrl-D`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function mappingFaults(given: Mapping): string[] {
  const faults: string[] = [];
  if (given.acts.length + given.records.length + given.down.length === 0)
    faults.push('mapping: maps nothing');
  try {
    sourcesOf(given);
  } catch (error) {
    faults.push(`mapping: ${(error as Error).message}`);
  }
  for (const [at, act] of given.acts.entries()) {
    for (const part of [...act.lines, ...act.movements]) {
      if (part.parent.length !== act.key.length)
        faults.push(
          `mapping.acts.${at}: ${part.table}.parent must have as many columns as the key of ${act.table}`,
        );
    }
  }
  const names = [...given.acts, ...given.records].map((one) => one.name);
  if (new Set(names).size !== names.length)
    faults.push('mapping: each act and record needs a name of its own');
  return faults;
}

export function invalidConfig(path: string, faults: readonly string[]): AgentError {
  return new AgentError(EXIT.configuration, `The configuration ${path} is not valid.`, faults);
}
