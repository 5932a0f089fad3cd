import { expect } from 'chai';
import { createCode } from '../../server/auth/one-time-codes.ts';
import { auditRows, call, createPerson, mailsTo, signUp } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { watchStatements } from './support/statements.ts';

const HOUR = 3_600_001;

describe('codes of sign-ups', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway({ env: { PROOF_OF_WORK_AFTER: '100' } })));
  afterEach(() => gateway.close());

  it('[S26] a right code for an address that somebody has by now is refused like a wrong one', async () => {
    const { email } = await createPerson(gateway);
    const { id: userId, username } = await signUp(gateway, { email });
    const { core } = gateway.identity;
    const flow = { tenantId: 1, purpose: 'verify_email', userId, emailKey: email } as const;
    const code = await core.db.transaction(({ sql }) => createCode(core, sql, flow));
    const { status, body } = await call(gateway, '/api/verify-email', { json: { username, code } });
    const refused = (await auditRows(gateway, 'auth.verify_email')).filter(({ success }) => !success);
    const [row] = await gateway.db.sql('SELECT verified_at FROM users WHERE id = $1', [userId]);
    expect([status, body['code']]).to.deep.equal([400, 'invalid_code']);
    expect(refused.map(({ code: why, principal }) => [why, principal])).to.deep.equal([
      ['invalid_code', null],
    ]);
    expect(row).to.deep.equal({ verified_at: null });
    expect(await mailsTo(gateway, email)).to.have.length(2);
  });

  /** What one request asks of the database, without what the workers do meanwhile. */
  const workOf = async (request: () => Promise<unknown>): Promise<string[]> => {
    const { statements, stop } = watchStatements(gateway);
    await request();
    stop();
    await gateway.identity.core.jobs.drain();
    return statements.filter((text) => /users|one_time_codes|INSERT INTO (jobs|audit_logs)/.test(text));
  };
  /** Six sign-ups with an address, then three resends, three wrong codes and one more sign-up an hour later. */
  const worksAt = async (email: string, names: string): Promise<string[][]> => {
    const works: string[][] = [];
    const add = async (request: () => Promise<unknown>): Promise<unknown> =>
      works.push(await workOf(request));
    const post = (path: string, json: object): Promise<unknown> => call(gateway, path, { json });
    await add(() => signUp(gateway, { email, username: `${names}0` }));
    await add(() => post('/api/verify-email', { email, code: '000000' }));
    for (let i = 0; i < 3; i += 1) {
      await post('/api/resend-verification', { email });
      await mailsTo(gateway, email);
    }
    for (let i = 1; i < 4; i += 1) await add(() => signUp(gateway, { email, username: `${names}${i}` }));
    await add(() => post('/api/verify-email', { username: `${names}0`, code: '000000' }));
    gateway.clock.advance(HOUR);
    await add(() => signUp(gateway, { email, username: `${names}9` }));
    return works;
  };

  it('[S29] a taken address costs the same statements as a free one, also after resends and over the limit', async () => {
    const { email } = await createPerson(gateway);
    gateway.clock.advance(HOUR);
    const taken = await worksAt(email, 'taken');
    const free = await worksAt('free@example.com', 'free');
    expect(taken).to.deep.equal(free);
    const codes = taken.map((work) => work.filter((text) => /INSERT INTO one_time_codes/.test(text)).length);
    expect(codes).to.deep.equal([1, 0, 1, 0, 0, 0, 1]);
  });

  it('[S29] no mail about a taken address holds a code', async () => {
    const { email } = await createPerson(gateway);
    gateway.clock.advance(HOUR);
    const before = (await mailsTo(gateway, email)).length;
    await worksAt(email, 'taken');
    const texts = (await mailsTo(gateway, email)).slice(0, -before).map(({ text }) => text);
    expect(texts).to.have.length(6);
    for (const text of texts)
      expect(text)
        .to.include('already have an account')
        .and.not.match(/\b\d{6}\b/);
  });

  it('[S25] sign-ups and resends together: five mails an hour with a code go to one address', async () => {
    const email = 'pending@example.com';
    for (let i = 0; i < 4; i += 1) await signUp(gateway, { email });
    for (let i = 0; i < 4; i += 1) {
      await call(gateway, '/api/resend-verification', { json: { email } });
      await mailsTo(gateway, email);
    }
    for (let i = 0; i < 4; i += 1) await signUp(gateway, { email });
    expect(await mailsTo(gateway, email)).to.have.length(5);
    gateway.clock.advance(HOUR);
    await signUp(gateway, { email });
    expect(await mailsTo(gateway, email)).to.have.length(6);
  });
});
