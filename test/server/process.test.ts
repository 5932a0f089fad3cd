import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import { createBlankDatabase } from '../support/database.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';
import type { GatewayProcess } from '../support/gateway-process.ts';

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

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(statement);
  await client.end();
}
