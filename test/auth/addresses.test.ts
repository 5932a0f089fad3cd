import { expect } from 'chai';
import fc from 'fast-check';
import { callerAddress, networkOf, normalizeAddress } from '../../server/auth/addresses.ts';
import { call, createPerson } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const group = fc.integer({ min: 0, max: 0xffff });
const byte = fc.integer({ min: 0, max: 0xff });
/** Eight groups, with runs of zeros as addresses have them. */
const groups = fc.array(fc.oneof(fc.constant(0), group), { minLength: 8, maxLength: 8 });
/** How an address may be written: upper case, leading zeros, `::`, dotted end, zone. */
const spelling = fc.record({
  upper: fc.boolean(),
  padded: fc.boolean(),
  shortened: fc.nat(),
  dotted: fc.boolean(),
  zone: fc.constantFrom('', '%eth0', '%1'),
});
type Spelling = typeof spelling extends fc.Arbitrary<infer T> ? T : never;

function spell(values: readonly number[], { upper, padded, shortened, dotted, zone }: Spelling): string {
  const hex = (value: number): string => value.toString(16).padStart(padded ? 4 : 1, '0');
  const [high, low] = values.slice(6) as [number, number];
  const end = dotted ? [[high >> 8, high & 255, low >> 8, low & 255].join('.')] : [hex(high), hex(low)];
  const parts = [...values.slice(0, 6).map(hex), ...end];
  const zeros = values.slice(0, 6).flatMap((value, index) => (value === 0 ? [index] : []));
  const from = zeros[shortened % (zeros.length + 1)];
  if (from !== undefined) {
    const until = values.findIndex((value, index) => index >= from && (value !== 0 || index === 6));
    parts.splice(from, until - from, '');
    if (from === 0) parts.unshift('');
  }
  const text = parts.join(':');
  return (upper ? text.toUpperCase() : text) + zone;
}

describe('what an address is counted by', () => {
  const isMapped = (values: readonly number[]): boolean =>
    values.slice(0, 5).every((value) => value === 0) && values[5] === 0xffff;

  it('[S53] one IPv6 network of 64 bits is one, however its addresses are written', () => {
    fc.assert(
      fc.property(groups, groups, spelling, spelling, (one, other, a, b) => {
        const neighbour = [...one.slice(0, 4), ...other.slice(4)];
        fc.pre(!isMapped(one) && !isMapped(neighbour));
        expect(networkOf(spell(neighbour, b))).to.equal(networkOf(spell(one, a)));
      }),
    );
  });

  it('[S53] two networks are two', () => {
    fc.assert(
      fc.property(groups, groups, spelling, spelling, (one, other, a, b) => {
        fc.pre(one.slice(0, 4).join() !== other.slice(0, 4).join());
        expect(networkOf(spell(one, a))).not.to.equal(networkOf(spell(other, b)));
      }),
    );
  });

  it('[S47] [S53] an IPv4 address is one by itself, mapped into IPv6 or not, however it is written', () => {
    fc.assert(
      fc.property(fc.tuple(byte, byte, byte, byte), spelling, ([a, b, c, d], form) => {
        const plain = [a, b, c, d].join('.');
        const mapped = spell([0, 0, 0, 0, 0, 0xffff, (a << 8) | b, (c << 8) | d], form);
        expect([networkOf(plain), networkOf(mapped), normalizeAddress(mapped)]).to.deep.equal(
          Array(3).fill(plain),
        );
      }),
    );
  });

  it('shows what it means, and leaves alone what is no address', () => {
    const shown = ['2001:DB8:0:42::1', 'fe80::1%eth0', '::1', '203.0.113.9', '', 'unknown', '1.2.3.4:80'];
    expect(shown.map(networkOf)).to.deep.equal([
      '2001:db8:0:42::/64',
      'fe80:0:0:0::/64',
      '0:0:0:0::/64',
      '203.0.113.9',
      '',
      'unknown',
      '1.2.3.4:80',
    ]);
  });
});

describe('the address that a trusted proxy forwards', () => {
  it('[S47] is one, with or without port, brackets, quotes and zone', () => {
    const written: Record<string, string[]> = {
      '203.0.113.9': [
        ...['203.0.113.9', '203.0.113.9:51234', '::ffff:203.0.113.9', '[::ffff:203.0.113.9]:1'],
        ...['"203.0.113.9:1"', '198.51.100.1, 203.0.113.9:80', ' 203.0.113.9 '],
      ],
      '2001:db8::1': ['2001:db8::1', '[2001:db8::1]', '[2001:db8::1]:1234', '"[2001:db8::1]:1234"'],
      'fe80::1': ['fe80::1', 'fe80::1%eth0', '[fe80::1%eth0]:443'],
    };
    for (const [address, forms] of Object.entries(written))
      for (const form of forms) expect(callerAddress('10.0.0.1', form), form).to.equal(address);
  });

  it('[S47] is the proxy’s own where it wrote none, and the connection’s where nothing was forwarded', () => {
    for (const form of ['203.0.113.009', 'unknown', '_hidden', '[203.0.113.9', '1.2.3:80', '203.0.113.9:'])
      expect(callerAddress('::ffff:10.0.0.1', form), form).to.equal('via 10.0.0.1');
    for (const form of [undefined, '', ' , ']) expect(callerAddress('10.0.0.1', form)).to.equal('10.0.0.1');
  });
});

describe('limits by address', () => {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const attempt = (json: unknown, from: string): Promise<Answer> =>
    call(gateway, '/api/login', { json, headers: { 'x-forwarded-for': from } });

  it('[S30] [S53] an IPv6 network counts as one address, at the login, the sign-up and the token endpoint', async () => {
    const limits = { AUTH_FAILURE_LIMIT_ADDRESS: '3', SIGNUP_LIMIT: '3', RATE_LIMIT_MAX_REQUESTS: '1000' };
    gateway = await startGateway({ env: { TRUST_PROXY: 'true', ...limits } });
    const headers = (i: number): Record<string, string> => ({ 'x-forwarded-for': `2001:db8:0:7:${i}::${i}` });
    const statuses = { login: [] as number[], signup: [] as number[], token: [] as number[] };
    for (let i = 0; i < 4; i += 1) {
      const person = { username: `six${i}`, email: `six${i}@example.com`, password: PASSWORD };
      const grant = { grant_type: 'client_credentials', client_id: `slc_1_${i}`, client_secret: 'wrong' };
      statuses.signup.push(
        (await call(gateway, '/api/signup', { json: person, headers: headers(i) })).status,
      );
      statuses.login.push(
        (await attempt({ username: `no${i}`, password: 'x' }, `2001:db8:0:7::${i}`)).status,
      );
      statuses.token.push((await call(gateway, '/oauth/token', { form: grant, headers: headers(i) })).status);
    }
    const elsewhere = await attempt({ username: 'no9', password: 'x' }, '2001:db8:0:8::1');
    expect(statuses).to.deep.equal({
      signup: [201, 201, 201, 429],
      login: [401, 401, 401, 429],
      token: [401, 401, 401, 429],
    });
    expect(elsewhere.status).to.equal(401);
  });

  it('[S30] [S53] ports that a proxy writes make no more addresses, nor does what is none', async () => {
    gateway = await startGateway({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT: '3' } });
    const statuses = [];
    for (let i = 0; i < 4; i += 1)
      statuses.push((await attempt({ username: 'no', password: 'x' }, `198.51.100.7:${50_000 + i}`)).status);
    for (let i = 0; i < 4; i += 1)
      statuses.push((await attempt({ username: 'no', password: 'x' }, `hidden-${i}`)).status);
    expect(statuses).to.deep.equal([401, 401, 401, 429, 401, 401, 401, 429]);
  });

  it('[S30] a network from which the account was used stays known, whatever address it has there today', async () => {
    gateway = await startGateway({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT_ACCOUNT: '5' } });
    const { username } = await createPerson(gateway);
    await attempt({ username, password: PASSWORD }, '2001:db8:0:1:aaaa::1');
    for (let i = 0; i < 5; i += 1) await attempt({ username, password: 'wrong' }, `2001:db8:1:${i}::1`);
    const stranger = await attempt({ username, password: PASSWORD }, '2001:db8:0:2::1');
    const victim = await attempt({ username, password: PASSWORD }, '2001:db8:0:1:bbbb::2');
    expect([stranger.status, victim.status]).to.deep.equal([429, 200]);
  });
});
