import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { io } from 'socket.io-client';
import { createBlankDatabase } from '../support/database.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { connectWire, until } from '../support/sync-gateway.ts';

describe('the gateway as a process', function () {
  this.timeout(60_000);
  let dataDir: string;
  const started: GatewayProcess[] = [];
  const start = (env: Record<string, string>): GatewayProcess => {
    const gateway = startGatewayProcess({ DATA_DIR: dataDir, PORT: '0', ...env });
    started.push(gateway);
    return gateway;
  };
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-process-'));
  });
  afterEach(async () => {
    for (const { child, ended } of started.splice(0)) {
      child.kill('SIGKILL');
      await ended;
    }
    await rm(dataDir, { recursive: true, force: true });
  });

  it('[OP1] lists every fault of the configuration at once, starts nothing, and exits with 78', async () => {
    const gateway = start({ PORT: 'eighty', DATABASE_URL: 'mysql://x', JWT_EXPIRES_IN: 'soon' });
    expect(await gateway.ended).to.equal(78);
    for (const name of ['PORT', 'DATABASE_URL', 'JWT_EXPIRES_IN'])
      expect(gateway.stderr()).to.contain(`${name}:`);
    expect(gateway.stdout()).to.equal('');
  });

  it('[OP2] says `listening` once, keeps its admin key at mode 0600, drains on SIGTERM and exits with 0', async () => {
    const gateway = start({ DATABASE_URL: await createBlankDatabase() });
    const url = await gateway.url;
    expect((await fetch(`${url}/health/ready`)).status).to.equal(200);
    expect((await stat(join(dataDir, 'admin.key'))).mode & 0o777).to.equal(0o600);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).to.equal(0);
    expect(gateway.stdout().match(/listening/g)).to.have.length(1);
  });

  it('[OP2] SIGTERM while it starts: what was started is stopped again, and it exits with 0', async () => {
    const gateway = start({});
    await until('its PostgreSQL', () => gateway.stdout().includes('ready on 127.0.0.1'));
    const pid = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).to.equal(0);
    expect(gateway.stdout()).to.not.contain('listening');
    expect(gateway.stderr()).to.equal('');
    expect(isRunning(pid)).to.equal(false);
    // and nothing is in the way of the next start
    await start({}).url;
  });

  it('[OP3] a taken port is told before anything is made or started', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const fresh = join(dataDir, 'fresh');
    const gateway = start({ DATA_DIR: fresh, PORT: String(port) });
    const code = await gateway.ended;
    await new Promise((resolve) => other.close(resolve));
    expect([code, gateway.stdout()]).to.deep.equal([1, '']);
    expect(gateway.stderr()).to.contain(`Something listens on 127.0.0.1:${port} already`);
    expect(existsSync(fresh)).to.equal(false);
  });

  it('[OP2] a second SIGTERM does not wait for the drain, and it exits with 130', async () => {
    const gateway = start({ DATABASE_URL: await createBlankDatabase() });
    const { port } = new URL(await gateway.url);
    // a request that never ends
    const caller = connect(Number(port), '127.0.0.1').on('error', () => undefined);
    caller.write(
      'POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n',
    );
    await until('the connection', () => !caller.connecting && caller.writableLength === 0);
    gateway.child.kill('SIGTERM');
    await until('the drain', () => gateway.stdout().includes('SIGTERM: closing'));
    gateway.child.kill('SIGTERM');
    expect(await gateway.ended).to.equal(130);
    caller.destroy();
  });

  it('[OP2] [F5] an open socket is closed by the gateway, and a request under way is answered', async () => {
    const gateway = start({ DATABASE_URL: await createBlankDatabase() });
    const url = await gateway.url;
    const socket = io(url, { transports: ['websocket'], reconnection: false });
    const reason = new Promise((resolve) => socket.once('disconnect', resolve));
    await new Promise((resolve) => socket.once('connected', resolve));
    const body = JSON.stringify({ email: 'nobody@example.org', password: 'not the one' });
    const caller = connect(Number(new URL(url).port), '127.0.0.1');
    let answer = '';
    caller.setEncoding('utf8').on('data', (text: string) => (answer += text));
    const head = `POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    caller.write(`${head}\r\n\r\n${body.slice(0, 9)}`);
    // a later request is answered when the earlier one has arrived
    await fetch(`${url}/health/live`);
    gateway.child.kill('SIGTERM');
    expect(await reason).to.equal('io server disconnect');
    caller.write(body.slice(9));
    expect(await gateway.ended).to.equal(0);
    expect(answer).to.match(/^HTTP\/1\.1 401 /);
  });

  it('[OP2] [F5] an open socket is told why it is closed', async () => {
    const gateway = start({ DATABASE_URL: await createBlankDatabase() });
    const url = await gateway.url;
    const key = (await readFile(join(dataDir, 'admin.key'), 'utf8')).trim();
    const client = await post<{ client_id: string; client_secret: string }>(
      `${url}/api/v1/admin/oauth-clients`,
      JSON.stringify({ name: 'branch', tenantId: 1, scopes: ['sync:read'], partitions: ['b1'] }),
      { 'x-api-key': key, 'content-type': 'application/json' },
    );
    const { client_id, client_secret } = client;
    const grant = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret });
    const { access_token: token } = await post<{ access_token: string }>(`${url}/oauth/token`, grant);
    const a = await connectWire(url, { token });
    await a.hello({ subscribe: [] });
    const said = new Promise((resolve) => a.socket.once('sync:closing', resolve));
    const reason = new Promise((resolve) => a.socket.once('disconnect', resolve));
    gateway.child.kill('SIGTERM');
    expect(await said).to.include({ code: 'unavailable', retryAfterMs: 1_000 });
    expect(await reason).to.equal('io server disconnect');
    expect(await gateway.ended).to.equal(0);
  });

  it('[OP3] says clearly that the port is taken, and exits with 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const gateway = start({ DATABASE_URL: await createBlankDatabase(), PORT: String(port) });
    expect(await gateway.ended).to.equal(1);
    expect(gateway.stderr()).to.contain(`${port} already`).and.to.contain('PORT');
    await new Promise((resolve) => other.close(resolve));
  });

  it('[OP4] refuses a second start on the data directory of a running one, and exits with 1', async () => {
    const first = start({});
    await first.url;
    const second = start({});
    expect(await second.ended).to.equal(1);
    expect(second.stderr()).to.contain(dataDir);
    first.child.kill('SIGTERM');
    expect(await first.ended).to.equal(0);
  });

  it('[OP5] refuses a database that is newer than the code, and exits with 1', async () => {
    const url = await createBlankDatabase();
    const first = start({ DATABASE_URL: url });
    await first.url;
    first.child.kill('SIGTERM');
    await first.ended;
    await run(
      url,
      `INSERT INTO schema_migrations (timestamp, name) VALUES (99999999999999, 'FromTheFuture')`,
    );
    const second = start({ DATABASE_URL: url });
    expect(await second.ended).to.equal(1);
    expect(second.stderr()).to.contain('newer than this Sluice').and.to.contain('FromTheFuture');
  });

  it('[OP6] lets two gateways migrate one empty database at the same moment', async () => {
    const url = await createBlankDatabase();
    const pair = [start({ DATABASE_URL: url }), start({ DATABASE_URL: url })];
    const urls = await Promise.all(pair.map((gateway) => gateway.url));
    for (const each of urls) expect((await fetch(`${each}/health`)).status).to.equal(200);
  });
});

async function post<T>(
  url: string,
  body: string | URLSearchParams,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await fetch(url, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}
