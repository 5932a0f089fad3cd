import { expect } from 'chai';
import { createRefreshToken } from '../../server/auth/opaque.ts';
import { auditRows, call, clientTokens, createClient, createPerson, logIn } from './support/client.ts';
import { codeOf, dataOf, toDevice, useDevices } from './support/device-suite.ts';
import { dump } from './support/dump.ts';
import { ADMIN_KEY } from './support/gateway.ts';

describe('anonymous devices', () => {
  const suite = useDevices();
  const { start, auth, register, registered, validate, openSocket } = suite;

  it('register without a word about themselves, and get tokens that no cache keeps', async () => {
    await start();
    const answer = await auth('device/register', { method: 'POST' });
    const { expiresIn, refreshExpiresIn } = dataOf(answer);
    expect([answer.status, answer.body['success'], expiresIn, refreshExpiresIn]).to.deep.equal([
      201,
      true,
      900,
      604_800,
    ]);
    expect(answer.headers.get('cache-control')).to.equal('no-store');
    const valid = await auth('validate', { method: 'POST', bearer: toDevice(answer).access });
    expect(dataOf(valid)).to.include({ isValid: true, deviceId: toDevice(answer).id, role: 'anonymous' });
    expect(dataOf(valid)['scopes']).to.deep.equal(['sync:read']);
    expect(dataOf(valid)['partitions']).to.deep.equal({ read: [], write: [] });
  });

  it('log in and refresh with the refresh token, each of which is used once', async () => {
    await start();
    const device = await registered();
    const login = await auth('login', { json: { refreshToken: device.refresh } });
    const refreshed = await auth('refresh', { json: { refreshToken: toDevice(login).refresh } });
    suite.gateway.clock.advance(10_001);
    const reuse = await auth('login', { json: { refreshToken: device.refresh } });
    expect([login.status, refreshed.status, toDevice(refreshed).id]).to.deep.equal([200, 200, device.id]);
    expect(codeOf(reuse)).to.deep.equal([401, 'revoked']);
    expect(await validate(toDevice(refreshed).access)).to.equal(401);
  });

  it('[S14] a login whose answer was lost is repeated within the grace: a device has nothing else to come back with', async () => {
    await start();
    const device = await registered();
    const [first, second] = [
      await auth('login', { json: { refreshToken: device.refresh } }),
      await auth('login', { json: { refreshToken: device.refresh } }),
    ];
    expect([first.status, second.status]).to.deep.equal([200, 200]);
    expect(toDevice(second).refresh).to.equal(toDevice(first).refresh);
  });

  it('[S15] the refresh token of a person or of an OAuth client is no device’s', async () => {
    await start();
    await createPerson(suite.gateway, { username: 'ana' });
    const person = await logIn(suite.gateway, 'ana');
    const client = await clientTokens(suite.gateway, await createClient(suite.gateway));
    for (const refreshToken of [person.refresh, client.refresh])
      expect(codeOf(await auth('refresh', { json: { refreshToken } }))).to.deep.equal([401, 'invalid_token']);
    const still = await call(suite.gateway, '/auth/refresh', { json: { refresh_token: person.refresh } });
    expect(still.status).to.equal(200);
  });

  it('the fingerprint opens nothing: who looks the same is another device', async () => {
    await start();
    const fingerprint = 'the very same looks';
    const one = toDevice(await register({ fingerprint }));
    const two = toDevice(await register({ fingerprint }));
    const login = await auth('login', { json: { fingerprint } });
    const rows = await auditRows(suite.gateway, 'device.registered');
    expect(two.id).not.to.equal(one.id);
    expect(login.status).to.equal(400);
    expect(rows.map(({ details }) => (details as { lookAlikes: number }).lookAlikes)).to.deep.equal([0, 1]);
    const [a, b] = await suite.gateway.db.sql<{ fingerprint: Buffer }>('SELECT fingerprint FROM devices');
    expect(a?.fingerprint.equals(b?.fingerprint ?? Buffer.alloc(0))).to.equal(true);
  });

  it('[S19] 20 parallel registrations of one device leave 5 sessions, and the others end at once', async () => {
    await start();
    const device = await registered();
    const closed = await openSocket(device.access);
    const bearer = device.access;
    const answers = await Promise.all(Array.from({ length: 20 }, () => register({}, { bearer })));
    // the one that asks may end on the way: then the rest is refused
    const opened = answers.filter((answer) => answer.status === 201).map(toDevice);
    const statuses = await Promise.all(opened.map(({ access }) => validate(access)));
    expect(opened.length).to.be.at.least(5);
    expect(opened.every(({ id }) => id === device.id)).to.equal(true);
    expect(statuses.filter((status) => status === 200)).to.have.length(5);
    expect(closed).to.deep.equal(['revoked']);
    const live = await suite.gateway.db.sql(
      'SELECT 1 FROM sessions WHERE principal_id = $1 AND revoked_at IS NULL',
      [device.id],
    );
    expect(live).to.have.length(5);
  });

  it('[S19] over the cap the session that was unused the longest ends, never the new one', async () => {
    await start({ env: { MAX_SESSIONS_PER_DEVICE: '2' } });
    const one = await registered();
    suite.gateway.clock.advance(1_000);
    const two = toDevice(await register({}, { bearer: one.access }));
    suite.gateway.clock.advance(1_000);
    const kept = toDevice(await auth('refresh', { json: { refreshToken: one.refresh } }));
    suite.gateway.clock.advance(1_000);
    const three = toDevice(await register({}, { bearer: kept.access }));
    const statuses = [await validate(kept.access), await validate(two.access), await validate(three.access)];
    expect(statuses).to.deep.equal([200, 401, 200]);
  });

  it('say who they are and take it back; info shows it without the fingerprint', async () => {
    await start();
    const { access: bearer, id } = await registered();
    const json = { name: 'Till 3', platform: 'Windows 11', userAgent: 'Till/3.1' };
    const updated = await auth('device/update', { method: 'PUT', json, bearer });
    await auth('device/update', { method: 'PUT', json: { platform: null }, bearer });
    const info = await auth('device/info', { bearer });
    expect([updated.status, dataOf(info)['activeSessions'], dataOf(info)['maxSessions']]).to.deep.equal([
      200, 1, 5,
    ]);
    expect(dataOf(info)).to.include({ deviceId: id, name: 'Till 3', platform: null, userAgent: 'Till/3.1' });
    expect(info.text).not.to.include('fingerprint');
  });

  it('logging out ends the session, with its socket and its refresh token', async () => {
    await start();
    const device = await registered();
    const other = toDevice(await register({}, { bearer: device.access }));
    const closed = await openSocket(device.access);
    const answer = await auth('logout', { method: 'POST', bearer: device.access });
    const again = await auth('login', { json: { refreshToken: device.refresh } });
    expect([answer.status, await validate(device.access), again.status]).to.deep.equal([200, 401, 401]);
    expect([closed, await validate(other.access)]).to.deep.equal([['revoked'], 200]);
  });

  it('[S22] a revoked device fails at once on HTTP, refresh and its open socket, and cannot come back', async () => {
    await start();
    const device = await registered();
    const other = toDevice(await register({}, { bearer: device.access }));
    const closed = await openSocket(other.access);
    const answer = await auth('device/revoke', { method: 'DELETE', bearer: device.access });
    const back = [
      await auth('login', { json: { refreshToken: other.refresh } }),
      await register({}, { bearer: other.access }),
    ];
    expect([answer.status, dataOf(answer)['endedSessions']]).to.deep.equal([200, 2]);
    expect([await validate(device.access), await validate(other.access)]).to.deep.equal([401, 401]);
    expect([closed, ...back.map(codeOf)]).to.deep.equal([['revoked'], [401, 'revoked'], [401, 'revoked']]);
  });

  it('[S22] a session that is opened while the device is disabled does not outlive it', async () => {
    await start();
    const device = await registered();
    const openings = Array.from({ length: 8 }, () => register({}, { bearer: device.access }));
    const path = `/api/v1/admin/devices/${device.id}`;
    await call(suite.gateway, path, { method: 'PATCH', json: { isActive: false }, key: ADMIN_KEY });
    await Promise.all(openings);
    const live = await suite.gateway.db.sql(
      'SELECT 1 FROM sessions WHERE principal_id = $1 AND revoked_at IS NULL',
      [device.id],
    );
    expect([live.length, await validate(device.access)]).to.deep.equal([0, 401]);
  });

  it('[S22] [S57] one that is disabled where no hint comes from is refused with the next look', async () => {
    await start();
    const { access } = await registered();
    const before = await validate(access);
    await suite.gateway.db.sql('UPDATE devices SET disabled_at = now(), changed_at = clock_timestamp()');
    await suite.gateway.identity.core.revocations.poll();
    expect([before, await validate(access)]).to.deep.equal([200, 401]);
  });

  it('[S23] [S61] every act leaves one row; neither rows, logs nor tables hold a token or a fingerprint', async () => {
    await start();
    const fingerprint = 'canvas 77ab and 14 fonts';
    const device = toDevice(await register({ fingerprint }));
    const bearer = device.access;
    const further = toDevice(await register({}, { bearer }));
    const renewed = toDevice(await auth('refresh', { json: { refreshToken: device.refresh } }));
    await auth('device/update', { method: 'PUT', json: { name: 'Till' }, bearer });
    await auth('refresh', { json: { refreshToken: createRefreshToken(1) } });
    await auth('logout', { method: 'POST', bearer: further.access });
    await auth('device/revoke', { method: 'DELETE', bearer });
    const rows = await suite.gateway.db.sql<{ action: string; success: boolean }>(
      'SELECT * FROM audit_logs ORDER BY id',
    );
    expect(rows.map((row) => `${row.action} ${row.success}`)).to.deep.equal([
      'key.created true',
      'device.registered true',
      'device.session_opened true',
      'auth.refresh true',
      'device.changed true',
      'auth.refresh false',
      'auth.logout true',
      'session.revoked true',
    ]);
    const secrets = [device, further, renewed].flatMap(({ access, refresh }) => [access, refresh]);
    const kept = await dump(suite.gateway);
    for (const secret of [...secrets, fingerprint])
      expect(kept + suite.gateway.logged()).not.to.include(secret);
  });

  it('are forgotten when their last session is long gone; SESSION_CLEANUP_INTERVAL says how often that is looked at', async () => {
    await start({ env: { SESSION_CLEANUP_INTERVAL: '50' } });
    await registered();
    suite.gateway.clock.advance(40 * 86_400_000);
    const { id } = await registered();
    const deadline = Date.now() + 10_000;
    let rows: { id: string }[];
    do {
      await new Promise((resolve) => setTimeout(resolve, 20));
      rows = await suite.gateway.db.sql('SELECT id FROM devices');
    } while (rows.length !== 1 && Date.now() < deadline);
    expect(rows.map((row) => row.id)).to.deep.equal([id]);
  });
});
