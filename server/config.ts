import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { roleLimits } from './limits/role-limits.ts';

// What a setting's own check says is put behind "it must be": what is allowed, then an example (see `describeFaults`).

const YEAR_SECONDS = 365 * 86_400;
const DURATION = 'a number above 0 with s, m, h or d, ten years at the most, such as 15m';

/** A duration such as `15m`, `7d`, `30s`, `12h`; a bare number counts seconds. Parsed to seconds. */
const duration = z
  .string()
  .regex(/^\d{1,9}(s|m|h|d)?$/, DURATION)
  .transform((text) => {
    const unit = { s: 1, m: 60, h: 3_600, d: 86_400 }[text.slice(-1)];
    return unit === undefined ? Number(text) : Number(text.slice(0, -1)) * unit;
  })
  // a date that is further away cannot be told any more
  .refine((seconds) => seconds > 0 && seconds <= 10 * YEAR_SECONDS, DURATION);

const INTERVAL = 'a number above 0 with ms, s, m, h or d, 24 days at the most, such as 1h';
const UNITS_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration that a timer waits; a bare number counts milliseconds. Parsed to milliseconds. */
const interval = z
  .string()
  .regex(/^\d{1,10}(ms|s|m|h|d)?$/, INTERVAL)
  .transform((text) => {
    const [, number, unit = ''] = /^(\d+)([a-z]*)$/.exec(text) ?? [];
    return Number(number) * (UNITS_MS[unit] ?? 1);
  })
  .refine((ms) => ms > 0 && ms < 2 ** 31, INTERVAL);

function wholeNumber(least: number, most: number, example: number): z.ZodType<number, string> {
  return z
    .string()
    .trim()
    .refine(
      (text) => /^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most,
      `a whole number from ${least} to ${most}, such as ${example}`,
    )
    .transform(Number);
}
const port = wholeNumber(0, 65_535, 8300);
const count = wholeNumber(1, 1_000_000_000, 100);
/** What a timer can hold: one that is set for longer ends at once. */
const windowMs = wholeNumber(1, 2 ** 31 - 1, 900_000);

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
);
const areOrigins = (origins: string[]): boolean =>
  origins.every((text) => URL.canParse(text) && new URL(text).origin === text.replace(/\/$/, ''));
const namesNobody = (text: string): boolean => {
  const { username, password } = URL.canParse(text) ? new URL(text) : {};
  return !username && !password;
};

function url(protocols: string[], example: string): z.ZodString {
  const starts = protocols.map((protocol) => `${protocol}//`).join(' or ');
  return z
    .string()
    .refine(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `a URL that starts with ${starts}, such as ${example}`,
    );
}

const key = (least: number): z.ZodString =>
  z.string().min(least, `at least ${least} characters, such as what \`openssl rand -hex 32\` prints`);
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Who is not named has no limit, but for devices (see RATE_LIMIT_ROLES). */
const REQUESTS_OF_ROLES = { owner: 6_000, admin: 6_000, operator: 6_000, auditor: 3_000, member: 3_000 };

/** Every setting, with its default and meaning; `.env.example` and docs/CONFIGURATION.md are made from it. */
export const environment = z.object({
  PORT: port.default(8300).describe('Port of HTTP and Socket.IO; 0 takes a free one.'),
  ROLE: z
    .enum(['all', 'auth', 'foundation'], 'all, auth or foundation, such as all')
    .default('all')
    .describe(
      'What it serves: all; auth: who somebody is, on AUTH_PORT; foundation: sync and chat, on PORT.',
    ),
  AUTH_PORT: port.default(8302).describe('Port of ROLE=auth; 0 takes a free one.'),
  AUTH_URL: url(['http:', 'https:'], 'https://auth.example.org')
    .refine(namesNobody, 'a URL without a user and a password, such as https://auth.example.org')
    .optional()
    .describe(
      'With ROLE auth and foundation: where the former is reached, the issuer of tokens; left out: PUBLIC_URL, else AUTH_PORT on HOST.',
    ),
  HOST: z
    .string()
    .regex(/^\S+$/, 'an address or a name of this machine, such as 127.0.0.1')
    .default('127.0.0.1')
    .describe('Address to listen on.'),
  DATABASE_URL: url(['postgres:', 'postgresql:'], 'postgres://sluice:password@db.example.org:5432/sluice')
    .optional()
    .describe('PostgreSQL 15 to 18; left out: the embedded one.'),
  DATA_DIR: z
    .string()
    .min(1)
    .default('.sluice')
    .describe('Where the embedded database and generated keys live.'),
  REDIS_URL: url(['redis:', 'rediss:'], 'redis://cache.example.org:6379')
    .optional()
    .describe(
      'Carries hints between nodes and keeps the counts of limits; left out: LISTEN/NOTIFY, and a table.',
    ),
  PUBLIC_URL: url(['http:', 'https:'], 'https://sync.example.org')
    .refine(namesNobody, 'a URL without a user and a password, such as https://sync.example.org')
    .optional()
    .describe('Address people and clients use; the issuer of tokens.'),
  INTERNAL_API_KEY: key(32).optional().describe('First admin key; left out: made in DATA_DIR/admin.key.'),
  JWT_SECRET: key(32)
    .optional()
    .describe(
      'Access tokens are signed and checked with this shared secret (HS256); left out: with keys (ES256).',
    ),
  JWT_SECRET_PREVIOUS: key(32)
    .optional()
    .describe(
      'A further secret that access tokens are taken of, and none is signed with: the one before, while JWT_SECRET changes.',
    ),
  JWT_AUDIENCE: z
    .string()
    .regex(/^[\w.:/-]{1,100}$/, 'up to 100 letters, digits and . : / _ -, such as sluice-foundation')
    .refine((text) => text !== 'sluice', 'another one than sluice, which signed with keys means')
    .default('sluice-foundation')
    .describe('Audience of tokens that JWT_SECRET signs: each secret has one of its own.'),
  JWT_EXPIRES_IN: duration.default(900).describe('Life of an access token.'),
  JWT_REFRESH_EXPIRES_IN: duration.default(604_800).describe('Life of an unused refresh token.'),
  MAX_SESSIONS_PER_DEVICE: wholeNumber(1, 1_000, 5)
    .default(5)
    .describe('Sessions of one anonymous device; one more ends the one that was unused the longest.'),
  SESSION_CLEANUP_INTERVAL: interval
    .default(3_600_000)
    .describe('How often dead sessions, codes and devices are deleted; a bare number counts milliseconds.'),
  SESSION_MAX_LIFETIME: duration
    .default(2_592_000)
    .describe('Absolute life of a session, however often it is refreshed.'),
  CONFIG_ENCRYPTION_KEY: key(32)
    .optional()
    .describe('Seals signing keys and queued mail at rest; left out: made in DATA_DIR/encryption.key.'),
  SMTP_SERVER: z
    .string()
    .regex(/^[^\s/]+$/, 'a host name, such as mail.example.org')
    .optional()
    .describe('Mail server; left out: mail is printed and kept for /dev/mail.'),
  SMTP_PORT: wholeNumber(0, 65_535, 587).default(587).describe('Port of the mail server.'),
  SMTP_USERNAME: z.string().optional().describe('User at the mail server.'),
  SMTP_PASSWORD: z.string().optional().describe('Password at the mail server.'),
  FROM_EMAIL: z
    .email('an e-mail address, such as sluice@example.org')
    .default('sluice@localhost.localdomain')
    .describe('Sender of mail.'),
  CORS_ORIGINS: list
    .refine(areOrigins, 'origins without a path, with commas between them, such as https://shop.example.com')
    .default([])
    .describe('Further origins that may call from a browser, separated by commas.'),
  TRUST_PROXY: z
    .stringbool('true or false, such as true')
    .default(false)
    .describe('Whether X-Forwarded-* of the next proxy is believed.'),
  SIGNUP: z
    .enum(['open', 'closed'], 'open or closed, such as open')
    .default('open')
    .describe('Whether people may sign up by themselves.'),
  DEVICE_REGISTRATION: z
    .enum(['open', 'closed'], 'open or closed, such as open')
    .default('open')
    .describe('Whether anonymous devices may register.'),
  LOG_LEVEL: z
    .enum(LOG_LEVELS, 'fatal, error, warn, info, debug, trace or silent, such as info')
    .default('info')
    .describe('How much is logged.'),
  RATE_LIMIT_WINDOW_MS: windowMs.default(900_000).describe('Window of the general limit, in milliseconds.'),
  AUTH_FAILURE_WINDOW_MS: windowMs
    .default(900_000)
    .describe('Window of the login failure limits, in milliseconds.'),
  AUTH_FAILURE_LIMIT: count.default(5).describe('Failed logins per account from one address and window.'),
  AUTH_FAILURE_LIMIT_ACCOUNT: count
    .default(50)
    .describe('Failed logins per account from all strange addresses and window.'),
  AUTH_FAILURE_LIMIT_ADDRESS: count
    .default(100)
    .describe('Failed logins per address over all accounts and window.'),
  PROOF_OF_WORK_AFTER: count
    .default(10)
    .describe(
      'Failed logins of an account or an address in that window, or sign-ups or forgotten passwords from an address in an hour, after which a proof of work is asked for.',
    ),
  PROOF_OF_WORK_COST: wholeNumber(1, 10_000_000, 5_000)
    .default(5_000)
    .describe(
      'Rounds of PBKDF2 in each of the 300 or so tries of a proof of work; with 5000 a phone needs about a second.',
    ),
  SIGNUP_LIMIT: count.default(30).describe('Sign-ups per address and hour.'),
  DEVICE_REGISTRATION_LIMIT: count
    .default(3)
    .describe('Registrations of anonymous devices per address and hour.'),
  KEY_OPERATION_LIMIT: count
    .default(10)
    .describe('Changes of API keys and their owners per administrator and hour.'),
  STRICT_LIMIT: count.default(3).describe('Revocations of anonymous devices per address and 5 minutes.'),
  CLIENT_TOKEN_LIMIT: count
    .default(60)
    .describe('Token requests per minute of an OAuth client that has no ratePerMinute of its own.'),
  RATE_LIMIT_MAX_REQUESTS: count.default(100).describe('Anonymous requests per address and window.'),
  RATE_LIMIT_ROLES: roleLimits(REQUESTS_OF_ROLES)
    .prefault('')
    .describe(
      'Requests of each caller and window, by role, such as `member=1000,service=none`. Left out: owner, admin and operator 6000, auditor and member 3000, anonymous (devices) as RATE_LIMIT_MAX_REQUESTS, service (OAuth clients) and api_key none.',
    ),
  KEY_OPERATION_ROLES: roleLimits({})
    .prefault('')
    .describe('KEY_OPERATION_LIMIT by role, such as `owner=50,service=none`; left out: the same for all.'),
});

export interface Config extends Omit<z.infer<typeof environment>, 'DATA_DIR'> {
  DATA_DIR: string;
}

/** What is wrong with the environment: every fault at once. */
export class ConfigError extends Error {
  readonly faults: string[];

  constructor(faults: string[]) {
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Parses the environment (empty strings count as left out). Throws ConfigError with every fault at once. */
export function parseConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = environment.safeParse(given);
  if (!parsed.success) {
    throw new ConfigError(describeFaults(given, parsed.error.issues));
  }
  return { ...parsed.data, DATA_DIR: resolve(parsed.data.DATA_DIR) };
}

/** Settings whose value nobody may read in a log, or a part of it. */
const SECRETS = new Set([
  'DATABASE_URL',
  'REDIS_URL',
  'INTERNAL_API_KEY',
  'CONFIG_ENCRYPTION_KEY',
  'JWT_SECRET',
  'JWT_SECRET_PREVIOUS',
  'SMTP_USERNAME',
  'SMTP_PASSWORD',
]);
const MOST_SHOWN = 80;

/** One sentence for each setting that does not fit: what was given, what is allowed, an example. */
function describeFaults(
  given: Record<string, string | undefined>,
  issues: readonly z.core.$ZodIssue[],
): string[] {
  const faults = new Map<string, string>();
  for (const { path, message } of issues) {
    const name = String(path[0]);
    if (faults.has(name)) continue;
    faults.set(name, `${name}: ${shown(name, given[name] ?? '')} does not fit: it must be ${message}`);
  }
  return [...faults.values()];
}

/** Of what may hold a password, the beginning of a URL at the most. */
function shown(name: string, value: string): string {
  const isSecret = SECRETS.has(name) || /\/\/.*@/.test(value);
  const start = isSecret ? /^[a-z][a-z0-9+.-]*:\/\//i.exec(value)?.[0] : value.slice(0, MOST_SHOWN);
  if (start === undefined) return 'the value (not shown)';
  return start === value ? JSON.stringify(value) : `${JSON.stringify(start).slice(0, -1)}…"`;
}

/** Whether this process serves who somebody is: people, devices, clients and keys, their logins and their pages. */
export function servesIdentity({ ROLE }: Pick<Config, 'ROLE'>): boolean {
  return ROLE !== 'foundation';
}

/** Whether this process serves what they come for: sync and chat. */
export function servesFoundation({ ROLE }: Pick<Config, 'ROLE'>): boolean {
  return ROLE !== 'auth';
}

/** The settings that are given and, beside the others, have no effect. */
export function withoutEffect(env: Record<string, string | undefined>, config: Config): string[] {
  const { ROLE, JWT_SECRET, JWT_SECRET_PREVIOUS } = config;
  const idle = [
    ...(ROLE === 'all' ? ['AUTH_PORT', 'AUTH_URL'] : []),
    ...(JWT_SECRET === undefined ? ['JWT_AUDIENCE'] : []),
    ...(JWT_SECRET === undefined || JWT_SECRET === JWT_SECRET_PREVIOUS ? ['JWT_SECRET_PREVIOUS'] : []),
  ];
  return idle.filter((name) => env[name] !== undefined && env[name] !== '');
}

/** Reads the process's own environment; a file `.env` in the working folder fills in what is not set. */
export function readEnvironment(): Record<string, string | undefined> {
  if (existsSync('.env')) process.loadEnvFile('.env');
  return process.env;
}

/** Path of a file in the data directory. */
export function dataPath(config: Pick<Config, 'DATA_DIR'>, name: string): string {
  return join(config.DATA_DIR, name);
}

/** For a process of our own that needs none of the settings, among which are secrets. */
export function bareEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'SystemRoot'];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}
