import { expect } from 'chai';
import { waitFor } from '../../server/limits/turns.ts';
import { auditRows, call, codeFor, createPerson } from './support/client.ts';
import type { Answer, Person } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('[S30] an account under attack', () => {
  let gateway: Gateway;
  let person: Person;
  const HOME = '192.0.2.1';
  const attempt = (from: string, password: string): Promise<Answer> =>
    call(gateway, '/api/login', {
      json: { username: person.username, password },
      headers: { 'x-forwarded-for': from },
    });
  const waitOf = ({ headers }: Answer): number => Number(headers.get('retry-after'));
  const attack = async (network: number, tries: number): Promise<Answer[]> => {
    const answers = [];
    for (let i = 0; i < tries; i += 1) answers.push(await attempt(`198.51.${network}.${i}`, `wrong ${i}`));
    return answers;
  };
  const statusesOf = (answers: Answer[]): number[] => answers.map(({ status }) => status);
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  beforeEach(async () => {
    const env = { TRUST_PROXY: 'true', AUTH_FAILURE_LIMIT_ACCOUNT: '3', PROOF_OF_WORK_AFTER: '1000000' };
    gateway = await startGateway({ env });
    person = await createPerson(gateway);
    await attempt(HOME, PASSWORD);
  });
  afterEach(() => gateway.close());

  it('makes strangers wait instead of locking the account: who waits as told gets in, whatever the others do', async () => {
    expect(statusesOf(await attack(1, 3))).to.deep.equal([401, 401, 401]);
    const asked = await attempt('203.0.113.9', PASSWORD);
    expect([asked.status, waitOf(asked)]).to.deep.equal([429, 1]);
    expect(statusesOf(await attack(2, 5))).to.deep.equal([429, 429, 429, 429, 429]);
    await sleep(1_050);
    expect((await attempt('203.0.113.9', PASSWORD)).status).to.equal(200);
  });

  it('lets a network that the account was used from in at once', async () => {
    await attack(1, 3);
    expect((await attempt(HOME, PASSWORD)).status).to.equal(200);
  });

  it('makes strangers wait longer with each failure, and a turn is good for one try', async () => {
    await attack(1, 3);
    const first = await attempt('203.0.113.9', 'wrong');
    await sleep(1_050);
    const started = performance.now();
    const burst = await Promise.all(
      Array.from({ length: 4 }, (_, i) => attempt('203.0.113.9', `wrong ${i}`)),
    );
    const next = await attempt('203.0.113.10', 'wrong');
    expect(waitOf(first)).to.equal(1);
    // the second turn comes 2 s after the first was used up: a machine that is that slow lets one more try in
    const turns = 1 + Math.floor((performance.now() - started) / 2_000);
    const tries = statusesOf(burst).filter((status) => status === 401).length;
    expect(tries).to.be.within(1, turns);
    expect(next.status).to.equal(429);
    expect(waitOf(next))
      .to.be.at.least(2)
      .and.at.most(2 ** tries);
    expect((await auditRows(gateway, 'auth.login')).filter(({ success }) => !success)).to.have.length(
      3 + tries,
    );
  });

  it('waits double from a second up to an hour', () => {
    expect([0, 1, 2, 5, 11, 12, 40].map(waitFor)).to.deep.equal(
      [1, 2, 4, 32, 2_048, 3_600, 3_600].map((seconds) => seconds * 1_000),
    );
  });

  it('forgets the attack for who has reset the password by mail', async () => {
    await attack(1, 3);
    const { email } = person;
    await call(gateway, '/api/password/forgot', { json: { email } });
    const code = await codeFor(gateway, email);
    const password = 'another otter 52 lantern';
    const reset = await call(gateway, '/api/password/reset', { json: { email, code, password } });
    expect(reset.status).to.equal(200);
    expect((await attempt('203.0.113.9', password)).status).to.equal(200);
  });

  it('[S29] is the same for a name that nobody has', async () => {
    const nobody = { ...person, username: 'nobody' };
    const visible = async (of: Person): Promise<unknown> => {
      person = of;
      const before = statusesOf(await attack(of === nobody ? 7 : 6, 3));
      const asked = await attempt(of === nobody ? '203.0.113.1' : '203.0.113.2', 'wrong');
      const { requestId: _id, ...body } = asked.body;
      return [before, asked.status, waitOf(asked), body];
    };
    expect(await visible(person)).to.deep.equal(await visible(nobody));
  });
});
