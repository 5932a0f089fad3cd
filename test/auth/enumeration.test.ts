import { expect } from 'chai';
import { call, createPerson, signUp } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

describe('who asks several things in a row learns no address', () => {
  let gateway: Gateway;
  const start = async (options: GatewayOptions = {}): Promise<void> => {
    gateway = await startGateway(options);
  };
  afterEach(() => gateway.close());

  const attempt = (json: Record<string, string>, from = '192.0.2.1'): Promise<Answer> =>
    call(gateway, '/api/login', { json, headers: { 'x-forwarded-for': from } });

  it('[S29] who signs up twice with an address hears the same of each password, whether somebody has it or not', async () => {
    await start();
    const { email } = await createPerson(gateway);
    const { passwords } = gateway.identity.core;
    const verify = passwords.verify.bind(passwords);
    const probe = async (address: string): Promise<unknown[]> => {
      let hashes = 0;
      for (const password of ['the first sign-up 1', 'the second sign-up 2'])
        await signUp(gateway, { email: address, password });
      passwords.verify = (stored, password) => ((hashes += 1), verify(stored, password));
      const heard = [];
      for (const password of ['the first sign-up 1', 'the second sign-up 2', 'another one 3'])
        heard.push((await attempt({ email: address, password })).body['code'], hashes);
      passwords.verify = verify;
      return heard;
    };
    const expected = ['invalid_credentials', 2, 'email_not_verified', 4, 'invalid_credentials', 6];
    expect(await probe('nobody@example.com')).to.deep.equal(expected);
    expect(await probe(email)).to.deep.equal(expected);
  });

  it('[S29] failures by a username and by an address show no common count, whether they belong together or not', async () => {
    await start({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT: '5', AUTH_FAILURE_LIMIT_ACCOUNT: '4' } });
    const { username, email } = await createPerson(gateway);
    const probe = async (address: string, from: string): Promise<unknown[]> => {
      const heard = [];
      for (const name of [{ username }, { email: address }]) {
        const { status, headers } = await attempt({ ...name, password: 'wrong' }, from);
        heard.push(status, headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining'));
      }
      return heard;
    };
    const expected = [401, '5', '4', 401, '5', '4'];
    expect(await probe(email, '192.0.2.1')).to.deep.equal(expected);
    expect(await probe('nobody@example.com', '192.0.2.2')).to.deep.equal(expected);
  });
});
