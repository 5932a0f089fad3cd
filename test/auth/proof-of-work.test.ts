import { expect } from 'chai';
import { solveChallenge } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import type { Challenge } from 'altcha-lib/types';
import { createSession } from '../../sdk/index.ts';
import { openTestDatabase } from '../support/database.ts';
import { call, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

describe('proof of work', () => {
  let gateway: Gateway;
  const start = async (options: GatewayOptions = {}): Promise<void> => {
    const env = {
      PROOF_OF_WORK_AFTER: '3',
      PROOF_OF_WORK_COST: '2',
      AUTH_FAILURE_LIMIT: '100',
      ...options.env,
    };
    gateway = await startGateway({ ...options, env });
  };
  afterEach(() => gateway.close());

  const attempt = (json: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Answer> =>
    call(gateway, '/api/login', { json, headers });
  const fail = async (username: string, times = 3): Promise<void> => {
    for (let i = 0; i < times; i += 1) await attempt({ username, password: 'wrong' });
  };
  const challengeOf = ({ body }: Answer): Challenge => body['challenge'] as Challenge;
  /** What ALTCHA's own code makes of a challenge. */
  const solve = async (challenge: Challenge, change: object = {}): Promise<string> => {
    const solution = await solveChallenge({ challenge, deriveKey });
    return Buffer.from(JSON.stringify({ challenge, solution, ...change })).toString('base64');
  };
  const codeOf = ({ status, body }: Answer): unknown => [status, body['code']];
  const REQUIRED = [428, 'proof_of_work_required'];

  it('[S30] is asked for at the login when many have failed from an address, and ALTCHA’s own solution lets in', async () => {
    await start();
    const { username } = await createPerson(gateway);
    expect((await attempt({ username, password: PASSWORD })).status).to.equal(200);
    await fail('nobody');
    const asked = await attempt({ username, password: PASSWORD });
    expect(codeOf(asked)).to.deep.equal(REQUIRED);
    expect(asked.headers.get('content-type')).to.include('application/problem+json');
    const altcha = await solve(challengeOf(asked));
    expect((await attempt({ username, password: PASSWORD, altcha })).status).to.equal(200);
  });

  it('[S30] is asked for when many have failed at an account, but not where the person has been before', async () => {
    await start({ env: { TRUST_PROXY: 'true' } });
    const { username } = await createPerson(gateway);
    const from = (ip: string): Record<string, string> => ({ 'x-forwarded-for': ip });
    await attempt({ username, password: PASSWORD }, from('192.0.2.1'));
    for (let i = 0; i < 3; i += 1) await attempt({ username, password: 'wrong' }, from(`198.51.100.${i}`));
    const stranger = await attempt({ username, password: PASSWORD }, from('203.0.113.9'));
    const victim = await attempt({ username, password: PASSWORD }, from('192.0.2.1'));
    expect(codeOf(stranger)).to.deep.equal(REQUIRED);
    expect(victim.status).to.equal(200);
  });

  it('a solution counts once, also when it comes many times at once', async () => {
    await start();
    await fail('nobody');
    const altcha = await solve(challengeOf(await attempt({ username: 'nobody', password: 'wrong' })));
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => attempt({ username: 'nobody', password: 'wrong', altcha })),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).to.deep.equal([401, ...Array<number>(9).fill(428)]);
    expect((await attempt({ username: 'nobody', password: 'wrong', altcha })).status).to.equal(428);
  });

  it('a solution for one purpose is none for another', async () => {
    await start();
    await fail('nobody');
    const asked = await call(gateway, '/api/password/forgot', { json: { email: 'ana@example.com' } });
    expect(codeOf(asked)).to.deep.equal(REQUIRED);
    const altcha = await solve(challengeOf(asked));
    const login = await attempt({ username: 'nobody', password: 'wrong', altcha });
    const forgot = await call(gateway, '/api/password/forgot', {
      json: { email: 'ana@example.com', altcha },
    });
    expect([codeOf(login), forgot.status]).to.deep.equal([REQUIRED, 200]);
  });

  it('a challenge expires in minutes', async () => {
    await start();
    await fail('nobody');
    const altcha = await solve(challengeOf(await attempt({ username: 'nobody', password: 'wrong' })));
    gateway.clock.advance(5 * 60_000 + 1_000);
    expect((await attempt({ username: 'nobody', password: 'wrong', altcha })).status).to.equal(428);
  });

  it('a challenge that was made easier, or is nobody’s, and what is no solution at all count as none', async () => {
    await start();
    await fail('nobody');
    const challenge = challengeOf(await attempt({ username: 'nobody', password: 'wrong' }));
    const { parameters } = challenge;
    const easier = { ...challenge, parameters: { ...parameters, keyPrefix: '00', cost: 1 } };
    const { keySignature: _dropped, ...unsigned } = parameters as { keySignature?: string };
    const wrong = [
      await solve(easier),
      await solve({ parameters }),
      await solve(challenge, { challenge: { ...challenge, parameters: unsigned } }),
      await solve(challenge, {
        challenge: { ...challenge, parameters: { ...parameters, expiresAt: 2 ** 31 } },
      }),
      await solve(challenge, { solution: { counter: 1, derivedKey: parameters.keyPrefix } }),
      await solve(challenge, { solution: { counter: -1, derivedKey: '' } }),
      Buffer.from('null').toString('base64'),
      Buffer.from('{"__proto__":{}}').toString('base64'),
      'not base64 at all',
      '',
    ];
    for (const altcha of wrong)
      expect(codeOf(await attempt({ username: 'nobody', password: 'wrong', altcha }))).to.deep.equal(
        REQUIRED,
      );
    const long = await attempt({ username: 'nobody', password: 'wrong', altcha: 'a'.repeat(5_000) });
    expect(long.status).to.equal(400);
  });

  it('is asked for after many sign-ups and many forgotten passwords, and nothing is done before', async () => {
    await start();
    const signUp = (i: number, altcha?: string): Promise<Answer> =>
      call(gateway, '/api/signup', {
        json: { username: `many${i}`, email: `many${i}@example.com`, password: PASSWORD, altcha },
      });
    for (let i = 0; i < 3; i += 1) expect((await signUp(i)).status).to.equal(201);
    const asked = await signUp(3);
    expect(codeOf(asked)).to.deep.equal(REQUIRED);
    expect(await mailsTo(gateway, 'many3@example.com')).to.deep.equal([]);
    expect((await signUp(3, await solve(challengeOf(asked)))).status).to.equal(201);
    const forgot = (email: string): Promise<Answer> =>
      call(gateway, '/api/password/forgot', { json: { email } });
    const answers = [];
    for (let i = 0; i < 4; i += 1) answers.push((await forgot(`many${i}@example.com`)).status);
    expect(answers).to.deep.equal([200, 200, 200, 428]);
  });

  it('[S29] is asked for alike whether there is such an account or not', async () => {
    await start({ env: { TRUST_PROXY: 'true' } });
    const { username } = await createPerson(gateway);
    const seen = [];
    for (const [i, name] of [username, 'nobody'].entries()) {
      const statuses = [];
      for (let n = 0; n < 5; n += 1) {
        const from = { 'x-forwarded-for': `198.51.${i}.${n}` };
        statuses.push((await attempt({ username: name, password: 'wrong' }, from)).status);
      }
      seen.push(statuses);
    }
    expect(seen).to.deep.equal([
      [401, 401, 401, 428, 428],
      [401, 401, 401, 428, 428],
    ]);
  });

  it('[S31] a wrong password is not even hashed before the work is done', async () => {
    await start();
    await fail('nobody');
    const { passwords } = gateway.identity.core;
    let hashed = 0;
    const verify = passwords.verify.bind(passwords);
    passwords.verify = (stored, password) => {
      hashed += 1;
      return verify(stored, password);
    };
    await attempt({ username: 'nobody', password: 'wrong' });
    expect(hashed).to.equal(0);
  });

  it('a challenge of one node is solved for another, once', async () => {
    const db = await openTestDatabase();
    await start({ db });
    const first = gateway;
    await fail('nobody');
    const altcha = await solve(challengeOf(await attempt({ username: 'nobody', password: 'wrong' })));
    await start({ db });
    const statuses = [];
    for (let i = 0; i < 2; i += 1)
      statuses.push((await attempt({ username: 'nobody', password: 'wrong', altcha })).status);
    await first.close();
    await gateway.close();
    await db.close();
    await start();
    expect(statuses).to.deep.equal([401, 428]);
  });

  it('is done by the SDK on the way: whoever types the password notices nothing', async () => {
    await start({ env: { PROOF_OF_WORK_COST: '100' } });
    const { username } = await createPerson(gateway);
    await fail('nobody');
    const session = createSession({ baseUrl: gateway.url });
    expect((await session.login({ username, password: PASSWORD })).username).to.equal(username);
    const signedUp = await session.signup({ username: 'bea', email: 'bea@example.com', password: PASSWORD });
    expect(signedUp.userId).to.be.a('string');
  });

  it('is not asked of people who make no mistakes, however many', async () => {
    await start();
    const { username } = await createPerson(gateway);
    for (let i = 0; i < 8; i += 1)
      expect((await logIn(gateway, username)).access).to.have.length.greaterThan(100);
  });
});
