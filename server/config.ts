import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';

/** A duration such as `15m`, `7d`, `30s`, `12h`; a bare number counts seconds. Parsed to seconds. */
const duration = z
  .string()
  .regex(/^\d{1,9}(s|m|h|d)?$/, 'write a number with s, m, h or d, such as 15m')
  .transform((text) => {
    const unit = { s: 1, m: 60, h: 3_600, d: 86_400 }[text.slice(-1)];
    return unit === undefined ? Number(text) : Number(text.slice(0, -1)) * unit;
  })
  .refine((seconds) => seconds > 0, 'must be more than 0');

const port = z.coerce.number('must be a port number').int().min(0).max(65_535);
const positive = z.coerce.number('must be a number').int().positive();
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
);
const areOrigins = (origins: string[]): boolean =>
  origins.every((text) => URL.canParse(text) && new URL(text).origin === text.replace(/\/$/, ''));
const url = (...protocols: string[]): z.ZodString =>
  z
    .string()
    .refine(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    );

/** Every setting, with its default and meaning; `.env.example` and docs/CONFIGURATION.md are made from it. */
export const environment = z.object({
  PORT: port.default(8300).describe('Port of HTTP and Socket.IO; 0 takes a free one.'),
  HOST: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  DATABASE_URL: url('postgres:', 'postgresql:')
    .optional()
    .describe('PostgreSQL 15 to 18; left out: the embedded one.'),
  DATA_DIR: z
    .string()
    .min(1)
    .default('.sluice')
    .describe('Where the embedded database and generated keys live.'),
  REDIS_URL: url('redis:', 'rediss:')
    .optional()
    .describe('Carries hints between nodes; left out: LISTEN/NOTIFY.'),
  PUBLIC_URL: url('http:', 'https:')
    .optional()
    .describe('Address people and clients use; the issuer of tokens.'),
  INTERNAL_API_KEY: z
    .string()
    .min(24)
    .optional()
    .describe('First admin key; left out: made in DATA_DIR/admin.key.'),
  JWT_EXPIRES_IN: duration.default(900).describe('Life of an access token.'),
  JWT_REFRESH_EXPIRES_IN: duration.default(604_800).describe('Life of an unused refresh token.'),
  SESSION_MAX_LIFETIME: duration
    .default(2_592_000)
    .describe('Absolute life of a session, however often it is refreshed.'),
  CONFIG_ENCRYPTION_KEY: z
    .string()
    .min(32)
    .optional()
    .describe('Seals signing keys and queued mail at rest; left out: made in DATA_DIR/encryption.key.'),
  SMTP_SERVER: z
    .string()
    .min(1)
    .optional()
    .describe('Mail server; left out: mail is printed and kept for /dev/mail.'),
  SMTP_PORT: port.default(587).describe('Port of the mail server.'),
  SMTP_USERNAME: z.string().optional().describe('User at the mail server.'),
  SMTP_PASSWORD: z.string().optional().describe('Password at the mail server.'),
  FROM_EMAIL: z.email().default('sluice@localhost.localdomain').describe('Sender of mail.'),
  CORS_ORIGINS: list
    .refine(areOrigins, 'write origins such as https://shop.example.com; * is none')
    .default([])
    .describe('Further origins that may call from a browser, separated by commas.'),
  TRUST_PROXY: z.stringbool().default(false).describe('Whether X-Forwarded-* of the next proxy is believed.'),
  SIGNUP: z.enum(['open', 'closed']).default('open').describe('Whether people may sign up by themselves.'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('How much is logged.'),
  RATE_LIMIT_WINDOW_MS: positive.default(900_000).describe('Window of the general limit, in milliseconds.'),
  AUTH_FAILURE_WINDOW_MS: positive
    .default(900_000)
    .describe('Window of the login failure limits, in milliseconds.'),
  AUTH_FAILURE_LIMIT: positive.default(5).describe('Failed logins per account from one address and window.'),
  AUTH_FAILURE_LIMIT_ACCOUNT: positive
    .default(50)
    .describe('Failed logins per account from all strange addresses and window.'),
  AUTH_FAILURE_LIMIT_ADDRESS: positive
    .default(100)
    .describe('Failed logins per address over all accounts and window.'),
  SIGNUP_LIMIT: positive.default(30).describe('Sign-ups per address and hour.'),
  CLIENT_TOKEN_LIMIT: positive
    .default(60)
    .describe('Token requests per minute of an OAuth client that has no ratePerMinute of its own.'),
  RATE_LIMIT_MAX_REQUESTS: positive.default(100).describe('Anonymous requests per address and window.'),
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
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  }
  return { ...parsed.data, DATA_DIR: resolve(parsed.data.DATA_DIR) };
}

/** Settings of the contract that this version does not know yet: set, they must not be taken for granted. */
const NOT_YET = ['ROLE', 'AUTH_PORT', 'JWT_SECRET', 'MAX_SESSIONS_PER_DEVICE', 'SESSION_CLEANUP_INTERVAL'];

/** The settings that are given and have no effect. */
export function withoutEffect(env: Record<string, string | undefined>): string[] {
  return NOT_YET.filter((name) => env[name] !== undefined && env[name] !== '');
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
