import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runCommand } from '../../agent/commands.ts';
import { createErp } from '../../demo/retail/erp.ts';

const EXAMPLE = new URL('../../agent/example-config.json', import.meta.url);

interface Example extends Record<string, unknown> {
  mapping: {
    acts: { fields: Record<string, unknown>; lines: Record<string, unknown>[] }[];
    records: Record<string, unknown>[];
  };
}

describe('agent: check says everything at once', () => {
  let folder: string;
  let config: Example;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-agent-'));
    createErp(join(folder, 'branch-12.sqlite')).close();
    writeFileSync(join(folder, 'branch.secret'), 'hush-hush\n', { mode: 0o600 });
    config = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Example;
    Object.assign(config, { gateway: 'http://127.0.0.1:9', clientId: 'c-12' });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function check(): Promise<{ code: number; said: string }> {
    const file = join(folder, 'agent.json');
    writeFileSync(file, JSON.stringify(config));
    let said = '';
    const write = (text: string): void => void (said += text);
    const deps = { stdout: { write }, stderr: { write }, onStop: () => undefined };
    return { code: await runCommand(deps, ['check', '--config', file]), said };
  }

  it('a fault of one member hides neither missing tables and columns nor a gateway that is out of reach', async () => {
    const [act] = config.mapping.acts;
    Object.assign(act!.fields, { total: { column: 'total', as: 'Cents' }, customer: 'buyer' });
    config.mapping.records[1]!['table'] = 'purchase_orders';
    config.mapping.records.push({ name: 'half' });
    config['gateway'] = `http://127.0.0.1:${await freePort()}`;
    const { code, said } = await check();
    expect(code).to.equal(78);
    for (const text of ['fields.total', 'buyer', 'no table purchase_orders', 'records.2.table', 'gateway: '])
      expect(said, text).to.contain(text);
    expect(said).to.contain('nothing listens there');
  });

  it('the example as it stands is not taken for a configuration', async () => {
    config['clientId'] = (JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Example)['clientId'];
    const { code, said } = await check();
    expect(code).to.equal(78);
    expect(said).to.match(/clientId: .*admin clients create/);
  });

  it('a partition that no client can be granted is refused', async () => {
    for (const partition of ['Branch 12', '*', 'branch-12:read']) {
      config['partition'] = partition;
      const { code, said } = await check();
      expect([code, /partition: (.*)/.exec(said)?.[1]], partition).to.deep.equal([
        78,
        'must be as it is granted to the client: without spaces and *, such as branch-12',
      ]);
    }
  });

  it('a secret that is not there: what is to be put where', async () => {
    rmSync(join(folder, 'branch.secret'));
    const { code, said } = await check();
    expect(code).to.equal(78);
    expect(said).to.contain(`there is no file ${join(folder, 'branch.secret')}`);
    expect(said).to.contain('umask 077 && cat >').and.contain('admin clients create');
    expect(said).to.not.contain('ENOENT');
  });

  it('a journal_mode in which the ERP and the agent wait for each other: how to change it', async () => {
    config['database'] = 'plain.sqlite';
    writeFileSync(join(folder, 'plain.sqlite'), '');
    const { said } = await check();
    expect(said).to.contain('journal_mode is delete').and.contain('"PRAGMA journal_mode = WAL"');
  });

  it('https at a port that speaks http is told as that', async () => {
    const server = await listening();
    config['gateway'] = `https://127.0.0.1:${portOf(server)}`;
    const { code, said } = await check();
    server.close();
    expect(code).to.equal(75);
    expect(said).to.contain('http:// instead of https://');
  });
});

async function listening(): Promise<Server> {
  const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** One at which nothing listens. */
async function freePort(): Promise<number> {
  const server = await listening();
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
