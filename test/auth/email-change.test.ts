import { expect } from 'chai';
import { auditRows, call, createPerson, logIn, mailsTo, signUp } from './support/client.ts';
import type { Answer, Person, Tokens } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const NEXT = 'next@example.com';

describe('a change of address', () => {
  let gateway: Gateway;
  let person: Person;
  let mine: Tokens;
  beforeEach(async () => {
    gateway = await startGateway();
    person = await createPerson(gateway);
    mine = await logIn(gateway, person.username);
  });
  afterEach(() => gateway.close());
  const ask = (newEmail = NEXT, tokens = mine): Promise<Answer> =>
    call(gateway, '/api/email-change', { json: { new_email: newEmail }, bearer: tokens.access });
  const confirm = (oldCode: string, newCode: string, tokens = mine): Promise<Answer> =>
    call(gateway, '/api/email-change/confirm', {
      json: { old_code: oldCode, new_code: newCode },
      bearer: tokens.access,
    });
  const codeTo = async (email: string): Promise<string> => {
    const mail = (await mailsTo(gateway, email)).find(({ text }) =>
      /code from this address: \d{6}/.test(text),
    );
    return /from this address: (\d{6})/.exec(mail?.text ?? '')?.[1] ?? '000000';
  };
  const codes = async (): Promise<[string, string]> => [await codeTo(person.email), await codeTo(NEXT)];
  const addressNow = async (tokens = mine): Promise<unknown> => {
    const { body } = await call(gateway, '/api/profile', { bearer: tokens.access });
    return (body['profile'] as { email?: string } | undefined)?.email;
  };
  const other = (code: string): string => (code === '111111' ? '222222' : '111111');

  it('takes both codes; then the new address counts, other sessions end and the old address is told', async () => {
    const elsewhere = await logIn(gateway, person.username);
    await ask();
    const before = await addressNow();
    const answer = await confirm(...(await codes()));
    const told = (await mailsTo(gateway, person.email))[0]!;
    expect([before, answer.status, await addressNow()]).to.deep.equal([person.email, 200, NEXT]);
    expect(told.subject).to.equal('Your Sluice account has another address');
    expect((await call(gateway, '/auth/me', { bearer: elsewhere.access })).status).to.equal(401);
    const login = (email: string): Promise<Answer> =>
      call(gateway, '/api/login', { json: { email, password: PASSWORD } });
    expect([(await login(person.email)).status, (await login(NEXT)).status]).to.deep.equal([401, 200]);
  });

  it('[S26] neither code is enough, nor the two the wrong way round, nor those of another person', async () => {
    const stranger = await createPerson(gateway);
    const theirs = await logIn(gateway, stranger.username);
    await ask();
    const [old, next] = await codes();
    const wrong = [
      await confirm(old, other(next)),
      await confirm(other(old), next),
      await confirm(next, old),
      await confirm(old, next, theirs),
    ];
    expect(wrong.map(({ body }) => body['code'])).to.deep.equal(Array(4).fill('invalid_code'));
    const { requestId: _, ...said } = wrong[0]!.body;
    for (const { body } of wrong) expect(body).to.deep.include(said);
    // what was right beside a wrong one is still good
    expect((await confirm(old, next)).status).to.equal(200);
  });

  it('[S24] takes five tries, then both codes are dead, whichever was wrong', async () => {
    await ask();
    const [old, next] = await codes();
    for (let i = 0; i < 5; i += 1) {
      await confirm(old, other(next));
      gateway.clock.advance(1);
    }
    const { confirmEmailChange } = await import('../../server/auth/email-change.ts');
    const me = await gateway.identity.authenticate(mine.access);
    const outcome = await confirmEmailChange(
      gateway.identity.core,
      me,
      { oldCode: old, newCode: next },
      { ip: '10.9.9.9' },
    ).then(
      () => 'ok',
      (error: unknown) => (error as { code: string }).code,
    );
    const rows = await gateway.db.sql<{ tries: number }>(
      `SELECT tries FROM one_time_codes WHERE purpose LIKE 'change_email%'`,
    );
    expect([outcome, await addressNow()]).to.deep.equal(['invalid_code', person.email]);
    expect(rows.map(({ tries }) => tries)).to.deep.equal([5, 5]);
  });

  it('[S25] another request kills the codes before it, and there are five an hour', async () => {
    await ask();
    const first = await codes();
    await ask();
    const dead = await confirm(...first);
    for (let i = 0; i < 3; i += 1) expect((await ask()).status).to.equal(200);
    const sixth = await ask();
    const live = await confirm(...(await codes()));
    expect([dead.status, sixth.status, live.status]).to.deep.equal([400, 429, 200]);
    expect(Number(sixth.headers.get('retry-after'))).to.be.within(1, 3_600);
  });

  it('[S26] a code for one new address does not confirm another', async () => {
    await ask();
    const [, next] = await codes();
    await ask('third@example.com');
    const old = await codeTo(person.email);
    expect((await confirm(old, next)).status).to.equal(400);
    expect(await addressNow()).to.equal(person.email);
  });

  it('[S27] of ten parallel confirmations exactly one succeeds', async () => {
    await ask();
    const [old, next] = await codes();
    const { confirmEmailChange } = await import('../../server/auth/email-change.ts');
    const me = await gateway.identity.authenticate(mine.access);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        confirmEmailChange(
          gateway.identity.core,
          me,
          { oldCode: old, newCode: next },
          { ip: `10.2.${i}.1` },
        ).then(
          () => 'ok',
          () => 'no',
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'ok')).to.have.length(1);
    const rows = await auditRows(gateway, 'user.email_changed');
    expect(rows.filter(({ success }) => success)).to.have.length(1);
  });

  it('[S28] the codes live an hour', async () => {
    await ask();
    const [old, next] = await codes();
    gateway.clock.advance(3_600_001);
    const again = await logIn(gateway, person.username);
    expect((await confirm(old, next, again)).status).to.equal(400);
  });

  it('[S29] a taken address is not told of: same answer; its owner gets a mail and no code', async () => {
    const holder = await createPerson(gateway);
    const free = await ask();
    const taken = await ask(holder.email);
    const { requestId: _, ...said } = free.body;
    expect([taken.status, taken.body]).to.deep.equal([200, { ...said, ...pick(taken.body) }]);
    const [mail] = await mailsTo(gateway, holder.email);
    expect(mail!.subject).to.equal('Your address was to be used for another account');
    expect(mail!.text).not.to.match(/\b\d{6}\b/);
    expect((await confirm(await codeTo(person.email), '000000')).body['code']).to.equal('invalid_code');
  });

  it('an address that somebody else verified meanwhile stays theirs', async () => {
    const pending = await signUp(gateway, { email: NEXT });
    const verification = /\b\d{6}\b/.exec((await mailsTo(gateway, NEXT))[0]!.text)![0];
    await ask();
    const [old, next] = await codes();
    await call(gateway, '/api/verify-email', { json: { username: pending.username, code: verification } });
    expect((await confirm(old, next)).body['code']).to.equal('invalid_code');
    expect(await addressNow()).to.equal(person.email);
  });

  it('[S26] a sign-up that was waiting for the new address is refused like a wrong code, and its code is dead', async () => {
    const pending = await signUp(gateway, { email: NEXT });
    const verification = /\b\d{6}\b/.exec((await mailsTo(gateway, NEXT))[0]!.text)![0];
    await ask();
    const changed = await confirm(...(await codes()));
    const verify = (code: string): Promise<Answer> =>
      call(gateway, '/api/verify-email', { json: { username: pending.username, code } });
    const [late, wrong] = [await verify(verification), await verify(other(verification))];
    const live = await gateway.db.sql(
      `SELECT 1 FROM one_time_codes WHERE purpose = 'verify_email' AND consumed_at IS NULL`,
    );
    expect([changed.status, late.status, late.body['code']]).to.deep.equal([200, 400, 'invalid_code']);
    expect(late.body['detail']).to.equal(wrong.body['detail']);
    expect([live.length, await addressNow()]).to.deep.equal([0, NEXT]);
  });

  it('[S21] a code to reset the password that went to the old address is dead', async () => {
    await call(gateway, '/api/password/forgot', { json: { email: person.email } });
    const [mail] = await mailsTo(gateway, person.email);
    const code = /\b\d{6}\b/.exec(mail!.text)![0];
    await ask();
    await confirm(...(await codes()));
    const json = { code, password: 'another otter 8 lamp' };
    const answers = await Promise.all(
      [person.email, NEXT].map((email) => call(gateway, '/api/password/reset', { json: { email, ...json } })),
    );
    expect(answers.map(({ status }) => status)).to.deep.equal([400, 400]);
  });

  it('can be called off', async () => {
    await ask();
    const [old, next] = await codes();
    await call(gateway, '/api/email-change', { method: 'DELETE', bearer: mine.access });
    expect((await confirm(old, next)).status).to.equal(400);
  });

  it('[S38] wants a proof that is at most ten minutes old', async () => {
    gateway.clock.advance(10.1 * 60_000);
    const late = await ask();
    expect([late.status, late.body['code']]).to.deep.equal([401, 'reauthentication_required']);
  });

  for (const bad of ['a@example.com\r\nBcc: b@example.com', 'a@example.com\n', 'a', ''])
    it(`[S32] the address ${JSON.stringify(bad)} is refused`, async () => {
      expect((await ask(bad)).body['code']).to.equal('invalid_request');
    });

  it('[S33] the own address in other case is no other', async () => {
    expect((await ask(person.email.toUpperCase())).status).to.equal(400);
  });

  it('[S61] leaves one audit row each, and no code in any log', async () => {
    await ask();
    const [old, next] = await codes();
    await confirm(old, other(next));
    await confirm(old, next);
    const rows = await auditRows(gateway, 'user.email_changed');
    expect(rows.map(({ success, code }) => [success, code])).to.deep.equal([
      [false, 'invalid_code'],
      [true, null],
    ]);
    expect(await auditRows(gateway, 'user.email_change_requested')).to.have.length(1);
    const everything = gateway.logged() + JSON.stringify(await gateway.db.sql('SELECT * FROM audit_logs'));
    expect(everything).to.not.include(old).and.not.include(next);
  });
});

function pick(body: Record<string, unknown>): Record<string, unknown> {
  return 'requestId' in body ? { requestId: body['requestId'] } : {};
}
