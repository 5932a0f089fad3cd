import { expect } from 'chai';
import { createPasswordHasher } from '../../server/auth/passwords.ts';
import { auditRows, call, createPerson, logIn, mailsTo, signUp } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';
import { statementsOf } from './support/statements.ts';

describe('passwords, enumeration and guessing', () => {
  let gateway: Gateway;
  const start = async (options: GatewayOptions = {}): Promise<void> => {
    gateway = await startGateway(options);
  };
  afterEach(() => gateway.close());

  const attempt = (json: Record<string, string>, from?: string): Promise<Answer> =>
    call(gateway, '/api/login', {
      json,
      ...(from === undefined ? {} : { headers: { 'x-forwarded-for': from } }),
    });
  /** Everything an observer sees but what differs on each request. */
  const visible = (answer: Answer): string => {
    const { requestId: _id, user_id: _user, ...body } = answer.body;
    const headers = [...answer.headers.keys()].filter((name) => !['date', 'x-request-id'].includes(name));
    return JSON.stringify([answer.status, body, headers.sort()]);
  };

  it('[S29] signing up with a taken e-mail looks like any other sign-up, and the owner gets a mail', async () => {
    await start();
    const { email, username } = await createPerson(gateway);
    const form = (name: string, address: string): Promise<Answer> =>
      call(gateway, '/api/signup', { json: { username: name, email: address, password: PASSWORD } });
    const [taken, free] = [await form('mallory', email), await form('free', 'free@example.com')];
    expect(visible(taken).replace('mallory', 'free')).to.equal(visible(free));
    expect(String(taken.body['user_id'])).to.have.length(String(free.body['user_id']).length);
    const [mail] = await mailsTo(gateway, email);
    expect(mail!.text).to.include('already have an account').and.include(username);
  });

  it('[S29] whatever is tried with the sign-up afterwards tells nothing either', async () => {
    await start();
    const { email } = await createPerson(gateway);
    const probe = async (username: string, address: string): Promise<string[]> => {
      await signUp(gateway, { username, email: address });
      return [
        await call(gateway, '/api/signup', {
          json: { username, email: 'third@example.com', password: PASSWORD },
        }),
        await attempt({ username, password: PASSWORD }),
        await attempt({ email: address, password: PASSWORD + '!' }),
        await call(gateway, '/api/resend-verification', { json: { email: address } }),
        await call(gateway, '/api/verify-email', { json: { email: address, code: '000000' } }),
        await call(gateway, '/api/verify-email', { json: { username, code: '000000' } }),
      ].map(visible);
    };
    expect(await probe('mallory', email)).to.deep.equal(await probe('nelly', 'nelly@example.com'));
  });

  it('[S29] login: unknown, wrong password and disabled look alike and compute as many hashes', async () => {
    await start();
    const { username } = await createPerson(gateway);
    const { passwords } = gateway.identity.core;
    const verify = passwords.verify.bind(passwords);
    let hashes = 0;
    passwords.verify = (stored, password) => {
      hashes += 1;
      return verify(stored, password);
    };
    const counts: number[] = [];
    const seen: string[] = [];
    for (const name of [username, 'nobody', 'nobody@example.com']) {
      hashes = 0;
      seen.push(visible(await attempt({ username: name, password: 'wrong password' })));
      counts.push(hashes);
    }
    await gateway.db.sql('UPDATE users SET disabled_at = now()');
    hashes = 0;
    seen.push(visible(await attempt({ username, password: PASSWORD })));
    counts.push(hashes);
    expect(counts).to.deep.equal([2, 2, 2, 2]);
    expect(new Set(seen.map((text) => text.replace(/remaining.*?,/, ''))).size).to.equal(1);
  });

  it('[S29] a resend answers 200 for every address with the same statements; the work is a job', async () => {
    await start();
    const pending = await signUp(gateway);
    await mailsTo(gateway, pending.email);
    const { jobs } = gateway.identity.core;
    // nothing is carried out but what the test asks for
    await jobs.close();
    const answers: Answer[] = [];
    const ask = (email: string): Promise<string[]> =>
      statementsOf(gateway, async () => {
        answers.push(await call(gateway, '/api/resend-verification', { json: { email } }));
      });
    const [known, unknown] = [await ask(pending.email), await ask('nobody@example.com')];
    const waiting = await gateway.db.sql<{ kind: string }>('SELECT kind FROM jobs');
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200]);
    expect(visible(answers[0]!)).to.equal(visible(answers[1]!));
    expect(known.filter((text) => text.includes('INTO jobs'))).to.have.length(1);
    expect(known).to.deep.equal(unknown);
    expect(waiting.map(({ kind }) => kind)).to.deep.equal(['resend_verification', 'resend_verification']);
    expect(await mailsTo(gateway, pending.email)).to.have.length(2);
    expect(await mailsTo(gateway, 'nobody@example.com')).to.have.length(0);
  });

  it('[S30] five failures close the pair of account and address, a parallel burst gets no more than that', async () => {
    await start();
    const { username } = await createPerson(gateway);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => attempt({ username, password: `wrong password ${i}` })),
    );
    const right = await attempt({ username, password: PASSWORD });
    const tried = await auditRows(gateway, 'auth.login');
    expect(answers.filter((answer) => answer.status === 401)).to.have.length(5);
    expect(answers.filter((answer) => answer.status === 429)).to.have.length(15);
    expect([right.status, tried.length]).to.deep.equal([429, 5]);
  });

  it('[S30] stuffing over many addresses hits the account limit, and the victim still gets in from a known one', async () => {
    await start({ env: { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT_ACCOUNT: '10' } });
    const { username } = await createPerson(gateway);
    const home = await attempt({ username, password: PASSWORD }, '192.0.2.1');
    const stuffed = [];
    for (let i = 0; i < 15; i += 1)
      stuffed.push(await attempt({ username, password: `wrong ${i}` }, `198.51.100.${i}`));
    const stranger = await attempt({ username, password: PASSWORD }, '203.0.113.9');
    const victim = await attempt({ username, password: PASSWORD }, '192.0.2.1');
    expect(stuffed.filter((answer) => answer.status === 401)).to.have.length(10);
    expect([home.status, stranger.status, victim.status]).to.deep.equal([200, 429, 200]);
  });

  it('[S30] username and e-mail of one account count together for strangers, a name over HTTP and sockets alike', async () => {
    await start({ env: { AUTH_FAILURE_LIMIT_ACCOUNT: '7', PROOF_OF_WORK_AFTER: '1000' } });
    const { username, email } = await createPerson(gateway);
    for (let i = 0; i < 4; i += 1) await attempt({ username, password: 'wrong' });
    const socket = (name: string, password: string): Promise<string> =>
      gateway.identity.logIn({ name, password }, { ip: '127.0.0.1' }).then(
        ({ principal }) => principal.name,
        (error: unknown) => (error as { code: string }).code,
      );
    const byName = [await socket(username, 'wrong'), await socket(username, PASSWORD)];
    const byMail = [
      await socket(email, 'wrong'),
      await socket(email, 'wrong'),
      await socket(email, PASSWORD),
    ];
    expect(byName).to.deep.equal(['invalid_credentials', 'rate_limited']);
    expect(byMail).to.deep.equal(['invalid_credentials', 'invalid_credentials', 'rate_limited']);
  });

  it('[S30] the name is limited whether it exists or not', async () => {
    await start();
    const statuses = [];
    for (let i = 0; i < 6; i += 1)
      statuses.push((await attempt({ username: 'nobody', password: 'wrong' })).status);
    expect(statuses).to.deep.equal([401, 401, 401, 401, 401, 429]);
  });

  it('[S53] limits do not follow a header that the client chooses', async () => {
    await start();
    const { username } = await createPerson(gateway);
    const statuses = [];
    for (let i = 0; i < 7; i += 1) {
      statuses.push((await attempt({ username, password: 'wrong' }, `198.51.100.${i}`)).status);
    }
    expect(statuses.slice(-2)).to.deep.equal([429, 429]);
  });

  it('30 right logins at once all succeed', async () => {
    await start();
    const { username } = await createPerson(gateway);
    const all = await Promise.all(
      Array.from({ length: 30 }, () => attempt({ username, password: PASSWORD })),
    );
    expect(new Set(all.map((answer) => answer.status))).to.deep.equal(new Set([200]));
  });

  it('sign-ups from one address are limited, with headers', async () => {
    await start({ env: { SIGNUP_LIMIT: '2' } });
    const statuses = [];
    for (let i = 0; i < 3; i += 1) {
      const json = { username: `user${i}`, email: `user${i}@example.com`, password: PASSWORD };
      const answer = await call(gateway, '/api/signup', { json });
      statuses.push([answer.status, answer.headers.get('x-ratelimit-remaining')]);
    }
    expect(statuses).to.deep.equal([
      [201, '1'],
      [201, '0'],
      [429, '0'],
    ]);
  });

  it('[S31] a password of 1 MB is refused before anything is hashed', async () => {
    await start();
    const { passwords } = gateway.identity.core;
    let hashed = 0;
    passwords.hash = () => Promise.resolve(String((hashed += 1)));
    passwords.verify = () => Promise.resolve((hashed += 1) < 0);
    const password = 'a'.repeat(900_000);
    const signup = await call(gateway, '/api/signup', {
      json: { username: 'bob', email: 'bob@example.com', password },
    });
    const login = await attempt({ username: 'bob', password });
    expect([signup.status, login.status, hashed]).to.deep.equal([400, 400, 0]);
  });

  it('[S31] an argon2 flood is bounded: a full queue answers busy', async () => {
    await start();
    const hasher = createPasswordHasher({ concurrency: 1, maxWaiting: 3 });
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, () =>
        hasher.hash(PASSWORD).then(
          () => 'ok',
          (error: unknown) => (error as { code: string }).code,
        ),
      ),
    );
    expect(outcomes.filter((code) => code === 'ok')).to.have.length(4);
    expect(outcomes.filter((code) => code === 'busy')).to.have.length(6);
  });

  it('[S32] links in mail come from configuration, not from the Host header', async () => {
    await start({ env: { PUBLIC_URL: 'https://sync.example.com' } });
    const { request } = await import('node:http');
    const body = JSON.stringify({ username: 'bob', email: 'bob@example.com', password: PASSWORD });
    const headers = {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'content-type': 'application/json',
    };
    await new Promise<void>((resolve) => {
      request(new URL('/api/signup', gateway.url), { method: 'POST', headers }, (response) => {
        response.resume().on('end', resolve);
      }).end(body);
    });
    const [mail] = await mailsTo(gateway, 'bob@example.com');
    expect(mail!.text).to.include('https://sync.example.com').and.not.include('evil');
  });

  for (const email of [
    'a@example.com\r\nBcc: b@example.com',
    'a@example.com\nX: y',
    '"a\r\n"@example.com',
    'a',
    'a@b@c.de',
  ]) {
    it(`[S32] the address ${JSON.stringify(email)} is refused`, async () => {
      await start();
      const answer = await call(gateway, '/api/signup', {
        json: { username: 'bob', email, password: PASSWORD },
      });
      expect([answer.status, answer.body['code']]).to.deep.equal([400, 'invalid_request']);
    });
  }

  it('[S33] usernames that look alike to Unicode or differ in case are one', async () => {
    await start();
    await createPerson(gateway, { username: 'Ana', email: 'ana@example.com' });
    const names = ['ana', 'ANA', 'ＡＮＡ', 'ａna'];
    const answers = await Promise.all(
      names.map((username, i) =>
        call(gateway, '/api/signup', { json: { username, email: `x${i}@example.com`, password: PASSWORD } }),
      ),
    );
    expect(new Set(answers.map((answer) => answer.body['code']))).to.deep.equal(new Set(['username_taken']));
    expect((await logIn(gateway, 'ＡＮＡ')).access).to.have.length.greaterThan(100);
  });

  it('[S33] an e-mail in other case is the same account: it cannot be verified twice', async () => {
    await start();
    await createPerson(gateway, { username: 'ana', email: 'ana@example.com' });
    await createPerson(gateway, { username: 'eve', email: 'ANA@EXAMPLE.COM' });
    const rows = await gateway.db.sql<{ username: string }>(
      'SELECT username FROM users WHERE verified_at IS NOT NULL',
    );
    expect(rows.map((row) => row.username)).to.deep.equal(['ana']);
  });

  const refused = [
    'password',
    'Password123!',
    '12345678',
    'qwertyuiop',
    'iloveyou',
    'aaaaaaaa',
    'P@ssw0rd2024',
    'abcabcabc',
    'bobby@example.com',
    'letmein1',
    '1q2w3e4r',
    'football',
  ];
  for (const password of refused) {
    it(`[S34] the password ${password} is refused`, async () => {
      await start();
      const answer = await call(gateway, '/api/signup', {
        json: { username: 'bobby', email: 'bobby@example.com', password },
      });
      expect([answer.status, answer.body['code']]).to.deep.equal([400, 'password_refused']);
    });
  }

  it('[S34] lengths of 8 to 256 characters are taken and nothing is truncated', async () => {
    await start();
    const long = Array.from({ length: 256 }, (_, i) => String.fromCodePoint(0x1f300 + i)).join('');
    const outcomes = [];
    for (const password of ['seven 7', 'eight 8!', long, `${long}x`]) {
      const username = `user${outcomes.length}`;
      const answer = await call(gateway, '/api/signup', {
        json: { username, email: `${username}@example.com`, password },
      });
      outcomes.push(answer.status);
    }
    const cut = await attempt({ username: 'user2', password: long.slice(0, -2) });
    const whole = await attempt({ username: 'user2', password: long });
    expect(outcomes).to.deep.equal([400, 201, 201, 400]);
    expect([cut.body['code'], whole.body['code']]).to.deep.equal([
      'invalid_credentials',
      'email_not_verified',
    ]);
  });
});
