import { expect } from 'chai';
import { auditRows, call, createClient, createPerson, clientTokens, logIn } from './support/client.ts';
import type { Answer, Call, Tokens } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { TERMINAL, createTerminal, outcomeOf } from './support/terminal.ts';

const LIMIT = 4;

describe('[S53] requests that prove nothing', () => {
  let gateway: Gateway;
  let mine: Tokens;
  let username: string;
  beforeEach(async () => {
    gateway = await startGateway({ env: { RATE_LIMIT_MAX_REQUESTS: String(LIMIT), TRUST_PROXY: 'true' } });
    ({ username } = await createPerson(gateway));
    mine = await logIn(gateway, username);
  });
  afterEach(() => gateway.close());
  /** From an address that has asked for nothing yet. */
  const from = (path: string, request: Call): Promise<Answer> =>
    call(gateway, path, { ...request, headers: { ...request.headers, 'x-forwarded-for': '198.51.100.7' } });
  const ask = async (times: number, path: string, request: Call): Promise<Answer[]> => {
    const answers: Answer[] = [];
    for (let i = 0; i < times; i += 1) answers.push(await from(path, request));
    return answers;
  };
  const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status);
  const logOut = (refresh: string, more: Call = {}): [string, Call] => [
    '/auth/logout',
    { json: { refresh_token: refresh }, ...more },
  ];

  for (const [name, request] of Object.entries<Call>({
    'rubbish as a token': { bearer: 'rubbish' },
    'no token': {},
    'an unknown API key': { key: 'slk_1_abc_def' },
    'a token that has been revoked': {},
    'a tenant that cannot be': { headers: {} },
  })) {
    it(`${name}: the general limit of the address, and who proves who they are is not held up by it`, async () => {
      let path = '/auth/me';
      if (name.includes('revoked')) {
        const { access } = await logIn(gateway, username);
        await call(gateway, '/auth/logout', { json: {}, bearer: access });
        request.bearer = access;
      }
      if (name.includes('tenant')) path += '?tenantId=none';
      const answers = await ask(LIMIT + 1, path, request);
      const last = answers.at(-1)!;
      expect(new Set(statuses(answers.slice(0, -1)))).to.have.length(1);
      expect([last.status, last.body['code']]).to.deep.equal([429, 'rate_limited']);
      expect(Number(last.headers.get('retry-after'))).to.be.within(1, 900);
      expect(last.headers.get('x-ratelimit-remaining')).to.equal('0');
      const good = await ask(LIMIT + 1, '/auth/me', { bearer: mine.access });
      expect(statuses(good)).to.deep.equal(Array(LIMIT + 1).fill(200));
    });
  }

  it('refresh tokens that are unknown, or ended already, at /auth/logout', async () => {
    const unknown = await ask(LIMIT - 1, ...logOut('srt_1_unknown'));
    await call(gateway, ...logOut(mine.refresh));
    const over = await ask(2, ...logOut(mine.refresh));
    expect(statuses([...unknown, ...over])).to.deep.equal([...Array<number>(LIMIT).fill(200), 429]);
  });

  it('logging out with what is one’s own is not counted, and with the access token never held up', async () => {
    for (let i = 0; i < LIMIT + 2; i += 1) {
      const { refresh } = await logIn(gateway, username);
      expect((await from(...logOut(refresh))).status).to.equal(200);
    }
    await ask(LIMIT, ...logOut('srt_1_unknown'));
    const held = await from(...logOut('srt_1_unknown'));
    const own = await from(...logOut(mine.refresh, { bearer: mine.access }));
    expect([held.status, own.status]).to.deep.equal([429, 200]);
  });

  it('/oauth/revoke of the public client, in the form of RFC 6749; clients that authenticate are not held up', async () => {
    const client = await createClient(gateway);
    const { refresh } = await clientTokens(gateway, client);
    const answers = await ask(LIMIT + 1, '/oauth/revoke', { form: { token: 'srt_1_unknown', ...TERMINAL } });
    expect(statuses(answers)).to.deep.equal([...Array<number>(LIMIT).fill(200), 429]);
    expect(answers.at(-1)!.body['error']).to.equal('temporarily_unavailable');
    expect(Number(answers.at(-1)!.headers.get('retry-after'))).to.be.within(1, 900);
    const credentials = { client_id: client.clientId, client_secret: client.secret };
    const own = await from('/oauth/revoke', { form: { token: refresh, ...credentials } });
    expect(own.status).to.equal(200);
  });

  for (const [path, form] of [
    ['/oauth/token', { grant_type: 'client_credentials' }],
    ['/oauth/token', { grant_type: 'password', ...TERMINAL }],
    ['/oauth/introspect', { token: 'srt_1_unknown', ...TERMINAL }],
  ] as const)
    it(`${path} with ${JSON.stringify(form)}`, async () => {
      const answers = await ask(LIMIT + 1, path, { form });
      expect(new Set(statuses(answers.slice(0, -1)))).to.have.length(1);
      expect(answers.at(-1)!.status).to.equal(429);
    });

  it('a terminal that polls, and one that renews its tokens, are none', async () => {
    const terminal = createTerminal(gateway);
    const codes = await terminal.codes();
    const polls: Answer[] = [];
    for (let i = 0; i < LIMIT + 1; i += 1) polls.push(await terminal.pollInTime(codes));
    expect(polls.map(outcomeOf)).to.deep.equal(Array(LIMIT + 1).fill([400, 'authorization_pending']));
    let { refresh } = mine;
    for (let i = 0; i < LIMIT + 1; i += 1) {
      const form = { grant_type: 'refresh_token', refresh_token: refresh, ...TERMINAL };
      const { status, body } = await from('/oauth/token', { form });
      expect(status).to.equal(200);
      refresh = String(body['refresh_token']);
    }
  });

  it('the admin key and what it is refused are not counted', async () => {
    const refused = await ask(LIMIT + 1, '/api/v1/admin/users/none', {
      ...{ method: 'PATCH', json: {}, key: ADMIN_KEY },
    });
    expect(statuses(refused)).to.deep.equal(Array(LIMIT + 1).fill(400));
  });
});

describe('[S61] the end of a session', () => {
  let gateway: Gateway;
  let mine: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    const { username } = await createPerson(gateway);
    mine = await logIn(gateway, username);
  });
  afterEach(() => gateway.close());
  const rows = async (): Promise<number> =>
    (await auditRows(gateway, 'session.revoked')).length + (await auditRows(gateway, 'auth.logout')).length;
  const logOut = (more: Call = {}): Promise<Answer> =>
    call(gateway, '/auth/logout', { json: { refresh_token: mine.refresh }, ...more });

  it('a refresh token sent fifty times, also at once, leaves one row', async () => {
    await Promise.all(Array.from({ length: 10 }, () => logOut()));
    for (let i = 0; i < 40; i += 1) expect((await logOut()).status).to.equal(200);
    expect(await rows()).to.equal(1);
  });

  it('logging out with both tokens of one session leaves one row', async () => {
    expect((await logOut({ bearer: mine.access })).status).to.equal(200);
    expect(await rows()).to.equal(1);
  });

  it('logging out five times at once leaves one row', async () => {
    await Promise.all(Array.from({ length: 5 }, () => logOut({ bearer: mine.access })));
    expect(await rows()).to.equal(1);
  });

  it('revoking at /oauth/revoke again and again leaves one row', async () => {
    const form = { ...TERMINAL };
    await Promise.all(
      [mine.access, mine.access, mine.refresh, mine.refresh].map((token) =>
        call(gateway, '/oauth/revoke', { form: { token, ...form } }),
      ),
    );
    expect(await rows()).to.equal(1);
  });
});
