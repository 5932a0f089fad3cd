import { expect } from 'chai';
import { createRefreshToken } from '../../server/auth/opaque.ts';
import { createSession } from '../../sdk/session.ts';
import type { Session, StoredSession } from '../../sdk/types.ts';
import { call, createPerson, logIn } from './support/client.ts';
import type { Person } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('a stored session and the gateway', () => {
  let gateway: Gateway;
  let person: Person;
  let stored: StoredSession | undefined;
  beforeEach(async () => {
    gateway = await startGateway();
    person = await createPerson(gateway);
    stored = { refreshToken: (await logIn(gateway, person.username)).refresh };
  });
  afterEach(() => gateway.close());
  const open = (): Session =>
    createSession({
      baseUrl: gateway.url,
      storage: {
        load: () => Promise.resolve(stored),
        save: (session) => Promise.resolve(void (stored = session)),
        clear: () => Promise.resolve(void (stored = undefined)),
      },
    });
  const codeOf = (session: Session): Promise<unknown> =>
    session.getAccessToken().then(
      () => 'a token',
      (error: unknown) => (error as { code: string }).code,
    );

  it('is kept where an address rule keeps this network out, and goes on in another', async () => {
    const rules = '/api/v1/admin/ip-rules';
    const json = { cidr: '127.0.0.0/8', action: 'deny', force: true };
    const { body } = await call(gateway, rules, { json, key: ADMIN_KEY });
    expect(await codeOf(open())).to.equal('address_refused');
    const { id } = body['rule'] as { id: string };
    await call(gateway, `${rules}/${id}`, { method: 'DELETE', key: ADMIN_KEY });
    expect(await codeOf(open())).to.equal('a token');
  });

  const ends: [string, () => unknown][] = [
    ['revoked', () => gateway.db.sql('UPDATE sessions SET revoked_at = now()')],
    ['token_expired', () => gateway.clock.advance(8 * 86_400_000)],
    ['invalid_token', () => (stored = { refreshToken: createRefreshToken(1) })],
  ];
  for (const [code, end] of ends)
    it(`is forgotten when it has ended: ${code}`, async () => {
      await end();
      expect([await codeOf(open()), stored]).to.deep.equal([code, undefined]);
    });
});
