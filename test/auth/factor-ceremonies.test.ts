import { expect } from 'chai';
import { call, createPerson, logIn } from './support/client.ts';
import type { Answer, Person } from './support/client.ts';
import { askToRegister, authenticatorAt, codeOf, registerPasskey } from './support/factors.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const codeIn = ({ status, body }: Answer): unknown => body['code'] ?? status;

describe('adding a second factor, begun at several sessions of one person', () => {
  let gateway: Gateway;
  let person: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    person = await createPerson(gateway);
  });
  afterEach(() => gateway.close());

  const newSession = async (): Promise<string> => (await logIn(gateway, person.username)).access;
  const enrol = async (bearer: string): Promise<() => Promise<Answer>> => {
    const { body } = await call(gateway, '/api/mfa/totp/enroll', { json: {}, bearer });
    const json = { code: codeOf(gateway, String(body['secret'])) };
    return () => call(gateway, '/api/mfa/totp/confirm', { json, bearer });
  };
  const beginPasskey = async (bearer: string): Promise<() => Promise<Answer>> => {
    const response = authenticatorAt(gateway).create(await askToRegister(gateway, bearer));
    return () => call(gateway, '/api/passkeys/register', { json: { response, name: 'A key' }, bearer });
  };
  const countOf = async (table: string): Promise<number> =>
    (await gateway.db.sql(`SELECT 1 FROM ${table} WHERE tenant_id = 1`)).length;
  /** All are past the look at the factors there are when the first one adds its own. */
  const atOnce = async (acts: (() => Promise<Answer>)[]): Promise<Answer[]> => {
    const running: Promise<Answer>[] = [];
    await gateway.db.transaction(async ({ sql }) => {
      await sql('SELECT 1 FROM users FOR UPDATE');
      for (const act of acts) {
        running.push(act());
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    });
    return Promise.all(running);
  };

  it('[S38] a passkey begun with a stolen session is not added once there are codes', async () => {
    const finish = await beginPasskey(await newSession());
    const confirm = await enrol(await newSession());
    expect((await confirm()).status).to.equal(200);
    expect(await countOf('passkey_challenges')).to.equal(0);
    expect((await finish()).body).to.deep.include({
      code: 'reauthentication_required',
      methods: ['totp', 'recovery'],
    });
    expect(await countOf('passkeys')).to.equal(0);
  });

  it('[S38] codes begun with a stolen session are not turned on once there is a passkey', async () => {
    const confirm = await enrol(await newSession());
    await registerPasskey(gateway, await newSession());
    expect(await countOf('totp_secrets')).to.equal(0);
    expect(codeIn(await confirm())).to.equal('reauthentication_required');
  });

  it('[S38] nor when both are finished in the same moment', async () => {
    const confirm = await enrol(await newSession());
    const finish = await beginPasskey(await newSession());
    expect((await atOnce([confirm, finish])).map(codeIn)).to.deep.equal([200, 'reauthentication_required']);
    expect(await countOf('passkeys')).to.equal(0);
  });

  it('[S40] of first passkeys that are added at once one is, and recovery codes are shown once', async () => {
    const acts = [];
    for (let i = 0; i < 3; i += 1) acts.push(await beginPasskey(await newSession()));
    const answers = await atOnce(acts);
    expect(answers.map(codeIn)).to.deep.equal([
      201,
      'reauthentication_required',
      'reauthentication_required',
    ]);
    expect(await countOf('recovery_codes')).to.equal(10);
  });

  it('[S38] nobody gets more than 20 passkeys, however many are added at once', async () => {
    const { sql } = gateway.db;
    const first = await newSession();
    const bearers = [first, await newSession(), await newSession()];
    await registerPasskey(gateway, first);
    await sql(`INSERT INTO passkeys SELECT tenant_id, gen_random_uuid(), user_id, 'copy' || n, public_key, counter, transports,
                                           backed_up, name, created_at
               FROM passkeys, generate_series(1, 18) n`);
    // as if each had been proved by the passkey
    await sql(`UPDATE sessions SET amr = '{hwk}'`);
    gateway.identity.core.revocations.announceChanged(1, `user:${person.id}`);
    const acts = [];
    for (const bearer of bearers) acts.push(await beginPasskey(bearer));
    expect((await atOnce(acts)).map(({ status }) => status)).to.deep.equal([201, 400, 400]);
    expect(await countOf('passkeys')).to.equal(20);
  });
});
