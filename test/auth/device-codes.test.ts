import { expect } from 'chai';
import { redeemDevice } from '../../server/auth/device-grants.ts';
import { startMaintenance } from '../../server/auth/maintenance.ts';
import { useProof } from '../../server/auth/used-proofs.ts';
import { createTerminal, outcomeOf } from './support/terminal.ts';
import type { TerminalAndPage } from './support/terminal.ts';
import { auditRows, createPerson, logIn } from './support/client.ts';
import type { Tokens } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const MINUTE = 60_000;

describe('codes of the device flow', () => {
  let gateway: Gateway;
  let terminal: TerminalAndPage;
  let ana: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    terminal = createTerminal(gateway);
    await createPerson(gateway, { username: 'ana' });
    ana = await logIn(gateway, 'ana');
  });
  afterEach(() => gateway.close());

  it('[S50] guessing codes is limited, after five not even the right one is found, and each guess leaves a trace', async () => {
    const asked = await terminal.codes();
    const guesses = [];
    for (const code of ['BBBB-BBBB', 'CCCC-CCCC', 'x', "' OR 1=1", 'DDDD-DDDD'])
      guesses.push(await terminal.look(code, ana.access), await terminal.decide(code, ana.access));
    const rightButLate = await terminal.look(asked.user, ana.access);
    const rows = await auditRows(gateway, 'device.code');
    expect(guesses.slice(0, 5).map(outcomeOf)).to.deep.equal(
      guesses.slice(0, 5).map(() => [400, 'invalid_code']),
    );
    expect(guesses.slice(5).map(outcomeOf)).to.deep.equal(guesses.slice(5).map(() => [429, 'rate_limited']));
    expect(rightButLate.status).to.equal(429);
    expect(rows.map(({ success, code }) => [success, code])).to.deep.equal(
      rows.map(() => [false, 'invalid_code']),
    );
    expect(rows).to.have.length(5);
  });

  it('[S50] looking at a code of one’s own in between buys no more guesses', async () => {
    const own = await terminal.codes();
    const outcomes = [];
    for (let i = 0; i < 4; i += 1) outcomes.push((await terminal.look('BBBB-BBBB', ana.access)).status);
    outcomes.push((await terminal.look(own.user, ana.access)).status);
    outcomes.push((await terminal.look('CCCC-CCCC', ana.access)).status);
    outcomes.push((await terminal.look('DDDD-DDDD', ana.access)).status);
    expect(outcomes).to.deep.equal([400, 400, 400, 400, 200, 400, 429]);
  });

  it('[S50] [S23] neither code is in the database or a log', async () => {
    const asked = await terminal.codes();
    await terminal.look(asked.user, ana.access);
    await terminal.decide(asked.user, ana.access);
    await terminal.poll(asked);
    const rows = JSON.stringify([
      await gateway.db.sql('SELECT * FROM device_codes'),
      await gateway.db.sql('SELECT * FROM audit_logs'),
    ]);
    for (const secret of [asked.user, asked.user.replace('-', ''), asked.device])
      expect(`${rows}${gateway.logged()}`.includes(secret)).to.equal(false);
  });

  it('[S50] a terminal that asks too fast is told to slow down, each time by five seconds more', async () => {
    const asked = await terminal.codes();
    const outcomes = [outcomeOf(await terminal.poll(asked))[1], outcomeOf(await terminal.poll(asked))[1]];
    gateway.clock.advance(5_000);
    outcomes.push(outcomeOf(await terminal.poll(asked))[1]);
    gateway.clock.advance(15_000);
    outcomes.push(outcomeOf(await terminal.poll(asked))[1]);
    expect(outcomes).to.deep.equal([
      'authorization_pending',
      'slow_down',
      'slow_down',
      'authorization_pending',
    ]);
  });

  it('[S50] of 20 polls at once one is in time, and one alone redeems', async () => {
    const { core } = gateway.identity;
    const asked = await terminal.codes();
    await terminal.decide(asked.user, ana.access);
    const request = { deviceCode: asked.device, dpopJkt: undefined };
    const polls = Array.from({ length: 20 }, () => redeemDevice(core, request, {}));
    const outcomes = (await Promise.all(polls)).map((one) => ('refusal' in one ? one.refusal : 'token'));
    const sessions = await gateway.db.sql(`SELECT 1 FROM sessions WHERE app = 'sluice-cli'`);
    const refused = outcomes.filter((one) => one !== 'token');
    expect([outcomes.length - refused.length, sessions.length]).to.deep.equal([1, 1]);
    // early, or too late: never told that nobody had decided
    for (const one of refused) expect(one).to.be.oneOf(['slow_down', 'invalid_grant']);
    expect(refused).to.include('slow_down');
  });

  it('[S50] of several polls that were all in time one alone redeems', async () => {
    const { core } = gateway.identity;
    const { db } = core;
    const asked = await terminal.codes();
    await terminal.decide(asked.user, ana.access);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let waiting = 0;
    core.db = {
      ...db,
      async transaction(work) {
        waiting += 1;
        await held;
        return db.transaction(work);
      },
    };
    const polls = [];
    for (let i = 1; i <= 5; i += 1) {
      polls.push(terminal.pollInTime(asked));
      while (waiting < i) await new Promise((resolve) => setImmediate(resolve));
    }
    release();
    const outcomes = (await Promise.all(polls)).map(({ status }) => status);
    core.db = db;
    const sessions = await db.sql(`SELECT 1 FROM sessions WHERE app = 'sluice-cli'`);
    expect([outcomes.sort(), sessions.length]).to.deep.equal([[200, 400, 400, 400, 400], 1]);
  });

  it('[S50] [S53] made-up device codes are limited per address, and five of them keep nobody else out', async () => {
    const asked = await terminal.codes();
    const made = (n: number): string => `sdc_1_${String(n).padStart(43, 'A')}`;
    const statuses = [];
    for (let n = 0; n < 6; n += 1) statuses.push((await terminal.poll({ device: made(n) })).status);
    const own = await terminal.poll(asked);
    for (let n = 6; n < 101; n += 1) statuses.push((await terminal.poll({ device: made(n) })).status);
    expect(own.body['error']).to.equal('authorization_pending');
    expect([statuses.slice(0, 100), statuses[100]]).to.deep.equal([Array(100).fill(400), 429]);
  });

  it('[S50] a code is redeemed once', async () => {
    const asked = await terminal.codes();
    await terminal.decide(asked.user, ana.access);
    const first = await terminal.pollInTime(asked);
    const second = await terminal.pollInTime(asked);
    const failures = (await auditRows(gateway, 'oauth.token')).filter(({ success }) => !success);
    expect([first.status, ...outcomeOf(second)]).to.deep.equal([200, 400, 'invalid_grant']);
    expect(failures).to.have.length(1);
  });

  it('[S50] of parallel decisions one counts, and what was decided is not decided anew', async () => {
    const asked = await terminal.codes();
    const decisions = await Promise.all([
      terminal.decide(asked.user, ana.access, false),
      terminal.decide(asked.user, ana.access, false),
      terminal.decide(asked.user, ana.access, false),
    ]);
    const turned = await terminal.decide(asked.user, ana.access);
    expect(decisions.filter(({ status }) => status === 200)).to.have.length(1);
    expect(outcomeOf(turned)).to.deep.equal([400, 'invalid_code']);
    expect(outcomeOf(await terminal.poll(asked))).to.deep.equal([400, 'access_denied']);
  });

  it('[S50] [S28] a code lives ten minutes: expired it is neither shown, decided nor redeemed', async () => {
    const [pending, approved] = [await terminal.codes(), await terminal.codes()];
    gateway.clock.advance(9 * MINUTE);
    expect((await terminal.look(pending.user, ana.access)).status).to.equal(200);
    // the login has to be fresh for it
    ana = await logIn(gateway, 'ana');
    await terminal.decide(approved.user, ana.access);
    gateway.clock.advance(MINUTE);
    const shown = await terminal.look(pending.user, ana.access);
    const decided = await terminal.decide(pending.user, ana.access);
    expect([shown, decided].map(outcomeOf)).to.deep.equal([
      [400, 'invalid_code'],
      [400, 'invalid_code'],
    ]);
    expect(outcomeOf(await terminal.poll(pending))).to.deep.equal([400, 'expired_token']);
    expect(outcomeOf(await terminal.poll(approved))).to.deep.equal([400, 'expired_token']);
  });

  it('what is over is cleaned away', async () => {
    const { core } = gateway.identity;
    const { db, box, keys, config, log, clock } = core;
    const maintenance = startMaintenance({ db, box, keys, config, log, clock });
    await terminal.codes();
    await useProof(db.sql, { tenantId: 1, purpose: 'dpop', of: 'x', jti: 'y', until: clock() + MINUTE });
    const left = async (): Promise<number[]> => {
      await maintenance.cleanUp();
      const tables = ['device_codes', 'used_proofs'];
      return Promise.all(tables.map(async (name) => (await db.sql(`SELECT 1 FROM ${name}`)).length));
    };
    const before = await left();
    gateway.clock.advance(2 * 86_400_000);
    const after = await left();
    maintenance.close();
    expect([before, after]).to.deep.equal([
      [1, 1],
      [0, 0],
    ]);
  });
});
