import { expect } from 'chai';
import { ConfigError, parseConfig } from '../../server/config.ts';

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

  it('[OP1] names each fault with its setting', () => {
    const attempt = (): unknown =>
      parseConfig({ PORT: '70000', HOST: ' ', PUBLIC_URL: 'ftp://x', LOG_LEVEL: 'loud' });
    expect(attempt).to.throw(ConfigError).with.property('faults').that.has.length(3);
  });

  it('[OP1] never repeats a secret in what it says of it', () => {
    const attempt = (): unknown => parseConfig({ INTERNAL_API_KEY: 'hunter2' });
    expect(attempt).to.throw(ConfigError, /^(?!.*hunter2)[^]*INTERNAL_API_KEY/);
  });
});
