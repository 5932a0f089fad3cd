import { expect } from 'chai';
import { createTerminal, DEVICE_GRANT, TERMINAL, outcomeOf } from './support/terminal.ts';
import type { TerminalAndPage } from './support/terminal.ts';
import { auditRows, call, codeFor, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Tokens } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;
const EMAIL = 'ana@example.com';

describe('the device flow', () => {
  let gateway: Gateway;
  let terminal: TerminalAndPage;
  let ana: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    terminal = createTerminal(gateway);
    await createPerson(gateway, { username: 'ana', email: EMAIL });
    ana = await logIn(gateway, 'ana');
  });
  afterEach(() => gateway.close());

  it('asks, shows what asks, and logs the terminal in as whoever approved, without administration', async () => {
    const asked = await terminal.request();
    const { device_code: device, user_code: user } = asked.body as Record<string, string>;
    const shown = await terminal.look(user!, ana.access);
    const pending = await terminal.poll({ device: device! });
    const decided = await terminal.decide(user!, ana.access);
    const answer = await terminal.pollInTime({ device: device!, user: user! });
    const me = await call(gateway, '/auth/me', { bearer: String(answer.body['access_token']) });
    expect(asked.body).to.deep.include({
      verification_uri: `${gateway.url}/device`,
      verification_uri_complete: `${gateway.url}/device#${user}`,
      expires_in: 600,
      interval: 5,
    });
    expect(user).to.match(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(asked.headers.get('cache-control')).to.equal('no-store');
    expect(shown.body).to.deep.include({ client: 'Sluice terminal client', ip: '127.0.0.1' });
    expect(shown.headers.get('cache-control')).to.equal('no-store');
    expect(outcomeOf(pending)).to.deep.equal([400, 'authorization_pending']);
    expect([decided.status, answer.status]).to.deep.equal([200, 200]);
    expect(shown.body['scopes']).to.deep.equal(String(answer.body['scope']).split(' '));
    expect(me.body['user']).to.deep.include({ username: 'ana', role: 'owner' });
    expect(me.body['scopes']).to.include('sync:write').and.not.include('admin');
  });

  it('refreshes and ends like a login, as the terminal does and as OAuth says', async () => {
    const asked = await terminal.codes();
    await terminal.decide(asked.user, ana.access);
    const first = await terminal.poll(asked);
    const refreshed = await call(gateway, '/auth/refresh', {
      json: { refresh_token: first.body['refresh_token'] },
    });
    const again = await call(gateway, '/oauth/token', {
      form: {
        grant_type: 'refresh_token',
        refresh_token: String(refreshed.body['refresh_token']),
        ...TERMINAL,
      },
    });
    const access = String(again.body['access_token']);
    await call(gateway, '/oauth/revoke', { form: { token: access, ...TERMINAL } });
    const after = await call(gateway, '/auth/me', { bearer: access });
    expect([first.status, refreshed.status, again.status, after.status]).to.deep.equal([200, 200, 200, 401]);
    expect((await call(gateway, '/auth/me', { bearer: ana.access })).status).to.equal(200);
  });

  it('[S50] an approval is worth as much as the session it was given in, and the person who gave it', async () => {
    const [first, second] = [await terminal.codes(), await terminal.codes()];
    await terminal.decide(first.user, ana.access);
    await call(gateway, '/auth/logout', { json: {}, bearer: ana.access });
    ana = await logIn(gateway, 'ana');
    await terminal.decide(second.user, ana.access);
    const outcomes = [outcomeOf(await terminal.poll(first))];
    await gateway.db.sql(`UPDATE users SET disabled_at = now() WHERE username = 'ana'`);
    outcomes.push(outcomeOf(await terminal.poll(second)));
    expect(outcomes).to.deep.equal([
      [400, 'invalid_grant'],
      [400, 'invalid_grant'],
    ]);
    expect(await gateway.db.sql(`SELECT 1 FROM sessions WHERE app = 'sluice-cli'`)).to.have.length(0);
  });

  it('[S50] another session’s approval logs in nobody but whoever gave it, and never another terminal', async () => {
    await createPerson(gateway, { username: 'ben' });
    const ben = await logIn(gateway, 'ben');
    const [anas, bens] = [await terminal.codes(), await terminal.codes()];
    await terminal.decide(bens.user, ben.access);
    const before = await terminal.poll(anas);
    const answer = await terminal.poll(bens);
    const me = await call(gateway, '/auth/me', { bearer: String(answer.body['access_token']) });
    expect(outcomeOf(before)).to.deep.equal([400, 'authorization_pending']);
    expect(me.body['user']).to.deep.include({ username: 'ben', role: 'member' });
  });

  it('[S38] [S50] approving needs a fresh proof of who one is; refusing does not; the new session has none', async () => {
    const [asked, other] = [await terminal.codes(), await terminal.codes()];
    await terminal.decide(asked.user, ana.access);
    const { body } = await terminal.poll(asked);
    const inTerminal = await terminal.decide(other.user, String(body['access_token']), true);
    gateway.clock.advance(11 * MINUTE);
    const late = await terminal.codes();
    const approved = await terminal.decide(late.user, ana.access);
    const refused = await terminal.decide(late.user, ana.access, false);
    expect([inTerminal, approved].map(outcomeOf)).to.deep.equal([
      [401, 'reauthentication_required'],
      [401, 'reauthentication_required'],
    ]);
    expect(refused.status).to.equal(200);
  });

  it('[S16] [S54] a terminal gets what it asked for by name, and nothing that its person does not have', async () => {
    await createPerson(gateway, { username: 'ben' });
    const ben = await logIn(gateway, 'ben');
    const narrow = await terminal.codes({ scope: 'sync:read admin' });
    const shown = await terminal.look(narrow.user, ben.access);
    await terminal.decide(narrow.user, ben.access);
    const bens = await terminal.poll(narrow);
    const byName = await terminal.codes({ scope: 'admin' });
    await terminal.decide(byName.user, ana.access);
    const anas = await terminal.poll(byName);
    const tooMuch = await terminal.codes({ scope: 'audit:read' });
    const refused = await terminal.decide(tooMuch.user, ben.access);
    expect(shown.body['scopes']).to.deep.equal(['sync:read']);
    expect([bens.body['scope'], anas.body['scope']]).to.deep.equal(['sync:read', 'admin']);
    expect(outcomeOf(refused)).to.deep.equal([403, 'forbidden']);
    expect(outcomeOf(await terminal.poll(tooMuch))).to.deep.equal([400, 'authorization_pending']);
    expect(outcomeOf(await terminal.request({ scope: 'everything' }))).to.deep.equal([400, 'invalid_scope']);
  });

  it('[S42] [S50] it is for the terminal client alone, which has nothing of its own', async () => {
    const client = await createClient(gateway);
    const secret = { client_id: client.clientId, client_secret: client.secret };
    const asked = await terminal.codes();
    await terminal.decide(asked.user, ana.access);
    const answers = [
      await call(gateway, '/oauth/device_authorization', { form: secret }),
      await call(gateway, '/oauth/device_authorization', { form: { client_id: client.clientId } }),
      await call(gateway, '/oauth/device_authorization', { form: {} }),
      await call(gateway, '/oauth/device_authorization', { json: TERMINAL }),
      await token(gateway, client, { grant_type: DEVICE_GRANT, device_code: asked.device }),
      await call(gateway, '/oauth/token', { form: { grant_type: 'client_credentials', ...TERMINAL } }),
      await call(gateway, '/oauth/token', { form: { grant_type: DEVICE_GRANT, ...TERMINAL } }),
      await terminal.poll({ device: asked.device.slice(0, -4) + 'AAAA' }),
      await terminal.poll({ device: 'sdc_1_x' }),
    ];
    expect(answers.map((answer) => answer.body['error'])).to.deep.equal([
      'unauthorized_client',
      'invalid_client',
      'invalid_client',
      'invalid_request',
      'unauthorized_client',
      'unauthorized_client',
      'invalid_request',
      'invalid_grant',
      'invalid_grant',
    ]);
    expect((await terminal.poll(asked)).status).to.equal(200);
  });

  it('machines and the admin key cannot let a terminal in', async () => {
    const client = await createClient(gateway, { scopes: ['admin'] });
    const { body } = await token(gateway, client);
    const asked = await terminal.codes();
    const bearer = String(body['access_token']);
    const answers = [
      await terminal.look(asked.user, bearer),
      await terminal.decide(asked.user, bearer, false),
    ];
    const anonymous = await call(gateway, `/api/device/${asked.user}`);
    expect([...answers, anonymous].map(({ status }) => status)).to.deep.equal([403, 403, 401]);
  });

  /** What ends the session an approval was given in. */
  const ends: Record<string, () => Promise<() => Promise<Answer>>> = {
    'a password reset': async () => {
      await call(gateway, '/api/password/forgot', { json: { email: EMAIL } });
      const json = { email: EMAIL, code: await codeFor(gateway, EMAIL), password: 'an entirely new one 7' };
      return () => call(gateway, '/api/password/reset', { json });
    },
    'logging out everywhere': () =>
      Promise.resolve(() => call(gateway, '/auth/logout-all', { json: {}, bearer: ana.access })),
    'ending the other sessions': async () => {
      const { access: bearer } = await logIn(gateway, 'ana');
      return () => call(gateway, '/api/sessions/end-others', { json: {}, bearer });
    },
  };
  for (const [what, prepare] of Object.entries(ends)) {
    it(`[S21] [S50] a terminal that redeems its code during ${what} is left with nothing`, async () => {
      const end = await prepare();
      const asked = await terminal.codes();
      expect((await terminal.decide(asked.user, ana.access)).status).to.equal(200);
      const running: Promise<Answer>[] = [];
      await gateway.db.transaction(async ({ sql }) => {
        // each goes as far as it can
        await sql('SELECT 1 FROM sessions FOR UPDATE');
        for (const act of [end, () => terminal.poll(asked)]) {
          running.push(act());
          await new Promise((resolve) => setTimeout(resolve, 400));
        }
      });
      const [ended, redeemed] = await Promise.all(running);
      expect(ended!.status).to.equal(200);
      expect(outcomeOf(redeemed!)).to.deep.equal([400, 'invalid_grant']);
      const sql = `SELECT 1 FROM sessions WHERE app = 'sluice-cli' AND revoked_at IS NULL`;
      expect(await gateway.db.sql(sql)).to.deep.equal([]);
    });
  }

  it('[S61] each step leaves one audit row', async () => {
    const [asked, refused] = [await terminal.codes(), await terminal.codes()];
    await terminal.decide(asked.user, ana.access);
    await terminal.decide(refused.user, ana.access, false);
    await terminal.poll(asked);
    const count = async (action: string): Promise<number> => (await auditRows(gateway, action)).length;
    const actions = ['device.requested', 'device.approved', 'device.denied', 'oauth.token'];
    expect(await Promise.all(actions.map(count))).to.deep.equal([2, 1, 1, 1]);
  });

  it('[S53] requests from one address are limited', async () => {
    const strict = await startGateway({ env: { RATE_LIMIT_MAX_REQUESTS: '2' } });
    const answers = [];
    for (let i = 0; i < 3; i += 1)
      answers.push(await call(strict, '/oauth/device_authorization', { form: TERMINAL }));
    await strict.close();
    expect(answers.map(outcomeOf)).to.deep.equal([
      [200, undefined],
      [200, undefined],
      [429, 'temporarily_unavailable'],
    ]);
  });
});
