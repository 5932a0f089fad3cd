import { expect } from 'chai';
import { decodeProtectedHeader } from 'jose';
import { withoutEffect, parseConfig } from '../../server/config.ts';
import { openTestDatabase } from '../support/database.ts';
import { call, createPerson, logIn } from './support/client.ts';
import { createClock, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const OLD = 'the secret of last year, 0123456789abcdef';
const NEW = 'the secret of this year, 0123456789abcdef';
const PUBLIC_URL = 'https://sync.example.org';

/** Gateways on one database, each with secrets of its own, as in the middle of a rotation. */
describe('JWT_SECRET and the one before', () => {
  let db: Awaited<ReturnType<typeof openTestDatabase>>;
  let open: Gateway[];
  const clock = createClock();
  beforeEach(async () => {
    db = await openTestDatabase();
    open = [];
  });
  afterEach(async () => {
    await Promise.all(open.map((gateway) => gateway.close()));
    await db.close();
  });
  const start = async (env: Record<string, string>): Promise<Gateway> => {
    const gateway = await startGateway({ db, clock, env: { PUBLIC_URL, ...env } });
    open.push(gateway);
    return gateway;
  };
  const outcome = async (gateway: Gateway, bearer: string): Promise<unknown> => {
    const { status, body } = await call(gateway, '/auth/me', { bearer });
    return body['code'] ?? status;
  };

  it('[S44] [OP8] a token of the secret before is taken as long as that is named, and no longer', async () => {
    const before = await start({ JWT_SECRET: OLD });
    const { username } = await createPerson(before);
    const { access } = await logIn(before, username);
    const during = await start({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
    const after = await start({ JWT_SECRET: NEW });
    expect(await outcome(during, access)).to.equal(200);
    expect(await outcome(after, access)).to.equal('invalid_token');
  });

  it('[S44] [S11] the secret before signs nothing any more', async () => {
    const before = await start({ JWT_SECRET: OLD });
    const { username } = await createPerson(before);
    const during = await start({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
    const after = await start({ JWT_SECRET: NEW });
    const { access, refresh } = await logIn(during, username);
    const { body } = await call(during, '/auth/refresh', { json: { refresh_token: refresh } });
    for (const token of [access, String(body['access_token'])]) {
      expect(await outcome(before, token)).to.equal('invalid_token');
      expect(await outcome(after, token)).to.equal(200);
    }
    expect(decodeProtectedHeader(access)).to.deep.equal({ alg: 'HS256', typ: 'at+jwt' });
  });

  it('[S44] nodes change over one after the other, and none refuses a token of another', async () => {
    const told = await start({ JWT_SECRET: OLD, JWT_SECRET_PREVIOUS: NEW });
    const { username } = await createPerson(told);
    const turned = await start({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
    const [early, late] = [await logIn(told, username), await logIn(turned, username)];
    const outcomes = [await outcome(turned, early.access), await outcome(told, late.access)];
    expect(outcomes).to.deep.equal([200, 200]);
  });

  it('[S9] [S57] neither the end of a token nor that of its session is another with the secret before', async () => {
    const before = await start({ JWT_SECRET: OLD });
    const { username } = await createPerson(before);
    const [ended, old] = [await logIn(before, username), await logIn(before, username)];
    const during = await start({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
    await call(during, '/auth/logout', { method: 'POST', bearer: ended.access });
    expect(await outcome(during, ended.access)).to.equal('revoked');
    clock.advance(16 * 60_000);
    expect(await outcome(during, old.access)).to.equal('token_expired');
  });

  it('[S3] [S7] the secret before opens no other way: another audience, another algorithm, keys', async () => {
    const withKeys = await start({});
    const { username } = await createPerson(withKeys);
    const { access: ofKeys } = await logIn(withKeys, username);
    const elsewhere = await start({ JWT_SECRET: OLD, JWT_AUDIENCE: 'reports' });
    const { access: ofOthers } = await logIn(elsewhere, username);
    const during = await start({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD });
    const idle = await start({ JWT_SECRET_PREVIOUS: OLD });
    const { access: ofOld } = await logIn(await start({ JWT_SECRET: OLD }), username);
    expect([
      await outcome(during, ofKeys),
      await outcome(during, ofOthers),
      await outcome(idle, ofOld),
    ]).to.deep.equal(['invalid_token', 'invalid_token', 'invalid_token']);
  });

  it('[OP1] says so when it has no effect: without JWT_SECRET, or being the same', () => {
    const idle = (env: Record<string, string>): string[] => withoutEffect(env, parseConfig(env));
    expect(idle({ JWT_SECRET_PREVIOUS: OLD })).to.deep.equal(['JWT_SECRET_PREVIOUS']);
    expect(idle({ JWT_SECRET: OLD, JWT_SECRET_PREVIOUS: OLD })).to.deep.equal(['JWT_SECRET_PREVIOUS']);
    expect(idle({ JWT_SECRET: NEW, JWT_SECRET_PREVIOUS: OLD })).to.deep.equal([]);
  });
});
