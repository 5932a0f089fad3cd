import { expect } from 'chai';
import { ConfigError, parseConfig } from '../../server/config.ts';
import { explainStart } from '../../server/start-faults.ts';

describe('configuration', () => {
  it('[OP1] takes an empty value for one that is left out', () => {
    expect(parseConfig({ PORT: '', JWT_EXPIRES_IN: '' })).to.include({ PORT: 8300, JWT_EXPIRES_IN: 900 });
  });

  it('[OP1] reads durations with their units', () => {
    expect(parseConfig({ JWT_EXPIRES_IN: '2h', JWT_REFRESH_EXPIRES_IN: '30d' })).to.include({
      JWT_EXPIRES_IN: 7_200,
      JWT_REFRESH_EXPIRES_IN: 2_592_000,
    });
  });

  it('[OP1] reads SESSION_CLEANUP_INTERVAL in milliseconds, or with a unit', () => {
    const read = (text: string): number =>
      parseConfig({ SESSION_CLEANUP_INTERVAL: text }).SESSION_CLEANUP_INTERVAL;
    expect(['3600000', '1h', '90s', '250ms', ''].map(read)).to.deep.equal([
      3_600_000, 3_600_000, 90_000, 250, 3_600_000,
    ]);
  });

  const faultsOf = (env: Record<string, string>): string[] => {
    try {
      parseConfig(env);
    } catch (error) {
      if (error instanceof ConfigError) return error.faults;
    }
    return [];
  };

  /** What does not fit, for each setting that anything can be wrong with. */
  const unfit: Record<string, string[]> = {
    PORT: ['70000', '-1', '80.5', 'http', '0x50', '1e3', ' '],
    HOST: [' ', 'two words'],
    DATABASE_URL: ['mysql://sluice:hunter2@db/sluice', 'localhost:5432 password=hunter2', 'postgres'],
    REDIS_URL: ['http://:hunter2@cache', 'hunter2'],
    PUBLIC_URL: ['sync.example.com', 'ftp://x', 'https://ana:hunter2@', 'https://ana:hunter2@x'],
    INTERNAL_API_KEY: ['hunter2'],
    JWT_SECRET: ['hunter2'],
    JWT_SECRET_PREVIOUS: ['hunter2'],
    JWT_EXPIRES_IN: ['soon', '15 m', '0', '-5m', '1.5h', '99999999999s', '999999999d'],
    JWT_REFRESH_EXPIRES_IN: ['a week'],
    MAX_SESSIONS_PER_DEVICE: ['0', '1001', 'many'],
    SESSION_CLEANUP_INTERVAL: ['0', '25d', 'hourly', '-1h', '9999999999'],
    SESSION_MAX_LIFETIME: ['0d'],
    CONFIG_ENCRYPTION_KEY: ['hunter2'],
    SMTP_SERVER: [' ', 'smtp://mail'],
    SMTP_PORT: ['smtp'],
    FROM_EMAIL: ['sluice', 'Sluice <a@example.org>'],
    CORS_ORIGINS: ['*', 'shop.example.com', 'https://shop.example.com/path', 'https://ana:hunter2@x'],
    TRUST_PROXY: ['maybe', '2'],
    SIGNUP: ['invite'],
    DEVICE_REGISTRATION: ['yes'],
    LOG_LEVEL: ['loud'],
    RATE_LIMIT_WINDOW_MS: ['15m', '3000000000'],
    AUTH_FAILURE_WINDOW_MS: ['0'],
    AUTH_FAILURE_LIMIT: ['none', '-1'],
    AUTH_FAILURE_LIMIT_ACCOUNT: ['NaN'],
    AUTH_FAILURE_LIMIT_ADDRESS: ['Infinity'],
    SIGNUP_LIMIT: ['0'],
    DEVICE_REGISTRATION_LIMIT: ['0'],
    KEY_OPERATION_LIMIT: ['x'],
    STRICT_LIMIT: ['-3'],
    CLIENT_TOKEN_LIMIT: ['x'],
    RATE_LIMIT_ROLES: ['boss=3', 'member=0', 'member', 'member=1,member=2', 'member=1e3'],
    KEY_OPERATION_ROLES: ['everybody=1'],
    RATE_LIMIT_MAX_REQUESTS: ['9007199254740993'],
  };
  for (const [name, values] of Object.entries(unfit)) {
    it(`[OP1] says what was given for ${name}, what is allowed, and an example that is`, () => {
      for (const value of values) {
        const [fault = '', ...others] = faultsOf({ [name]: value });
        expect(others, value).to.deep.equal([]);
        expect(fault, value).to.match(
          /^[A-Z_]+: (".*"|the value \(not shown\)) does not fit: it must be .+, such as \S.*$/,
        );
        expect(fault, value).not.to.match(/hunter2|expected|received|invalid|NaN(?!")/i);
        const example = /, such as (.*)$/.exec(fault)?.[1] ?? '';
        expect(faultsOf({ [name]: example }), fault).to.deep.equal([]);
      }
    });
  }

  it('[OP1] shows each fault once, with what was given, unless it may be a secret', () => {
    expect(
      faultsOf({ PORT: '70000', PUBLIC_URL: 'ftp://x', LOG_LEVEL: 'loud', INTERNAL_API_KEY: 'short' }),
    ).to.deep.equal([
      'PORT: "70000" does not fit: it must be a whole number from 0 to 65535, such as 8300',
      'PUBLIC_URL: "ftp://x" does not fit: it must be a URL that starts with http:// or https://, such as https://sync.example.org',
      'INTERNAL_API_KEY: the value (not shown) does not fit: it must be at least 32 characters, such as what `openssl rand -hex 32` prints',
      'LOG_LEVEL: "loud" does not fit: it must be fatal, error, warn, info, debug, trace or silent, such as info',
    ]);
  });

  it('[S53] an admin key so short that it could be guessed is refused at the start', () => {
    const faultsOfKey = (length: number): string[] => faultsOf({ INTERNAL_API_KEY: 'k'.repeat(length) });
    expect([faultsOfKey(31).length, faultsOfKey(32)]).to.deep.equal([1, []]);
  });

  it('[OP1] a long value, or one that would drive a terminal, is shown cut and escaped', () => {
    const [fault = ''] = faultsOf({ SIGNUP: `\u001b[31m${'x'.repeat(1_000)}` });
    expect(fault).to.match(/^SIGNUP: "\\u001b\[31mx+…" does not fit/);
    expect(fault.length).to.be.below(200);
  });

  it('[OP1] what has always been taken is taken', () => {
    const taken = { PORT: ' 8301 ', TRUST_PROXY: 'yes', SMTP_SERVER: 'mail.example.org', HOST: '::1' };
    expect(parseConfig(taken)).to.include({ PORT: 8301, TRUST_PROXY: true, HOST: '::1' });
    expect(
      parseConfig({ CORS_ORIGINS: 'https://a.example, http://b.example:81/' }).CORS_ORIGINS,
    ).to.deep.equal(['https://a.example', 'http://b.example:81/']);
  });
});

describe('a gateway that cannot start', () => {
  const explain = (error: object, env: Record<string, string> = {}): string =>
    explainStart(Object.assign(new Error('getaddrinfo ENOTFOUND'), error), parseConfig(env)).message;

  it('[OP3] names HOST when it is HOST that means nothing, not the database', () => {
    const notFound = { code: 'ENOTFOUND', syscall: 'getaddrinfo' };
    const env = { HOST: 'nowhere.invalid', DATABASE_URL: 'postgres://db.invalid/sluice' };
    expect(explain({ ...notFound, hostname: 'nowhere.invalid' }, env))
      .to.match(/HOST/)
      .and.not.match(/DATABASE_URL/);
    expect(explain({ ...notFound, hostname: 'db.invalid' }, env)).to.match(/DATABASE_URL/);
  });
});
