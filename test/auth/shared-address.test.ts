import { expect } from 'chai';
import { createLanes } from '../../server/limits/lanes.ts';
import { auditRows, call, createClient, createPerson, token } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const LIMIT = 6;

describe('[S30] somebody at the same address who guesses without end', () => {
  let gateway: Gateway;
  beforeEach(async () => {
    const env = { AUTH_FAILURE_LIMIT_ADDRESS: String(LIMIT), PROOF_OF_WORK_AFTER: '1000000' };
    gateway = await startGateway({ env });
  });
  afterEach(() => gateway.close());

  const logIn = (username: string, password: string): Promise<Answer> =>
    call(gateway, '/api/login', { json: { username, password } });
  const guessClients = async (tries: number): Promise<number[]> => {
    const statuses = [];
    for (let i = 0; i < tries; i += 1) {
      const clientId = `slc_1_${String(i).padStart(22, 'a')}`;
      statuses.push((await token(gateway, { clientId, secret: 'x' })).status);
    }
    return statuses;
  };

  it('is told to wait, and leaves no more traces; a client with its secret and people with passwords come in', async () => {
    const client = await createClient(gateway);
    const { username } = await createPerson(gateway);
    expect(await guessClients(LIMIT + 2)).to.deep.equal([...Array<number>(LIMIT).fill(401), 429, 429]);
    expect((await token(gateway, client)).status).to.equal(200);
    expect((await logIn(username, PASSWORD)).status).to.equal(200);
    const refused = (await auditRows(gateway, 'oauth.client_authentication')).filter(
      ({ success }) => !success,
    );
    expect(refused).to.have.length(LIMIT);
  });

  it('at passwords: shuts out nobody who has been there before, and still others', async () => {
    const [known, stranger] = [await createPerson(gateway), await createPerson(gateway)];
    await logIn(known.username, PASSWORD);
    for (let i = 0; i < LIMIT; i += 1) await logIn(`nobody${i}`, 'wrong');
    const outcomes = [];
    for (const { username } of [known, stranger]) outcomes.push((await logIn(username, PASSWORD)).status);
    expect(outcomes).to.deep.equal([200, 429]);
  });

  it('has wrong secrets looked at one after another', async () => {
    const lanes = createLanes();
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      throw new Error('wrong');
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, () => lanes.run('here', work)));
    const busy = outcomes.filter((one) => (one as { reason?: { code?: string } }).reason?.code === 'busy');
    expect(most).to.equal(1);
    expect(outcomes.filter(({ status }) => status === 'rejected')).to.have.length(300);
    expect(busy).to.have.length(44);
    expect(await lanes.run('here', () => Promise.resolve('free again'))).to.equal('free again');
  });
});
