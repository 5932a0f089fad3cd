import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { runCommand } from '../../agent/commands.ts';
import { createErp, sellInvoice } from '../../demo/retail/erp.ts';
import { ApiError } from '../../sdk/index.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import { invoice, item, recordsAt, sellMany, tokensOf } from './support.ts';

const EXAMPLE = new URL('../../agent/example-config.json', import.meta.url);

describe('agent: commands', () => {
  let folder: string;
  let file: string;
  let config: Record<string, unknown>;
  let stop: () => void = () => undefined;
  let out = '';
  let err = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-agent-'));
    file = join(folder, 'agent.json');
    writeFileSync(join(folder, 'branch.secret'), 'hush-hush\n', { mode: 0o600 });
    config = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Record<string, unknown>;
    const own = { clientId: 'tirana', database: 'erp.sqlite', partition: 'tirana' };
    Object.assign(config, { gateway: 'http://127.0.0.1:9', ...own });
    out = err = '';
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('a bad configuration: every fault at once, exit code 78', async () => {
    Object.assign(config, { gateway: 'nowhere', partition: '', pollMs: 1, surprise: true });
    expect(await agent('check')).to.equal(78);
    for (const word of ['gateway', 'partition', 'pollMs', 'surprise']) expect(err).to.contain(word);
  });

  // Windows has no such bits: there the folder's access list protects the file.
  (process.platform === 'win32' ? it.skip : it)('a secret that others may read is refused', async () => {
    chmodSync(join(folder, 'branch.secret'), 0o644);
    expect(await agent('check')).to.equal(78);
    expect(err).to.contain('chmod 600').and.not.contain('hush');
  });

  it('no database: 78; a mapping that does not fit: 78 with each column; no gateway: 75', async () => {
    expect(await agent('check')).to.equal(78);
    expect(out).to.contain('There is no database');
    createErp(join(folder, 'erp.sqlite')).close();
    expect(await agent('check')).to.equal(75);
    JSON.stringify(config, (key, value: unknown) => {
      if (key === 'mapping')
        (value as { records: { table: string }[] }).records[1]!.table = 'purchase_orders';
      return value;
    });
    expect(await agent('check')).to.equal(78);
    expect(out).to.contain('no table purchase_orders');
  });

  it('check names faults of the file, the secret and the database at once', async () => {
    rmSync(join(folder, 'branch.secret'));
    Object.assign(config, { gateway: 'nowhere', mapping: undefined });
    expect(await agent('check')).to.equal(78);
    for (const word of ['gateway', 'mapping', 'branch.secret', 'There is no database'])
      expect(err).to.contain(word);
  });

  it('a database that the ERP has locked: 75', async () => {
    const erp = createErp(join(folder, 'erp.sqlite'));
    erp.database.exec('PRAGMA journal_mode = DELETE');
    config['busyTimeoutMs'] = 100;
    expect(await agent('install')).to.equal(0);
    erp.database.exec('BEGIN EXCLUSIVE');
    expect(await agent('status')).to.equal(75);
    expect(await agent('install')).to.equal(75);
    erp.database.exec('COMMIT');
    erp.close();
    expect(err).to.contain('database is locked');
    expect(await agent('status')).to.equal(0);
  });

  it('no configuration, or none there: 78', async () => {
    const deps = { stdout: { write: () => 0 }, stderr: { write: () => 0 }, onStop: () => undefined };
    expect(await runCommand(deps, ['check'])).to.equal(78);
    expect(await runCommand(deps, ['check', '--config'])).to.equal(78);
    expect(await runCommand(deps, ['check', '--config', join(folder, 'none.json')])).to.equal(78);
  });

  it('status and inbox look in from outside, while it runs and after', async () => {
    const gateway = await startSyncGateway();
    config['gateway'] = gateway.url;
    const erp = createErp(join(folder, 'erp.sqlite'));
    sellMany(erp, 3);
    const running = agent('run', '--json');
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 3);
    await until('it to be idle', () => out.includes('"event":"idle"'));
    const report = await ask<{ running: boolean; queue: number; agent: { state: string } }>('status');
    expect(report).to.deep.include({ running: true, queue: 0, captured: 0 });
    expect(report.agent.state).to.equal('live');
    stop();
    expect(await running).to.equal(0);
    const after = await ask<{ version: number }>('status');
    expect(after).to.include({ running: false }).and.have.property('version').that.is.above(0);
    out = '';
    await agent('status');
    expect(out).to.match(new RegExp(`position +${after.version}\n`));
    expect(await ask('inbox')).to.deep.equal({ gateway: [], local: [] });
    erp.close();
    await gateway.close();
  });

  it('uninstall leaves the database as it was, but not before everything is pushed', async () => {
    const erp = createErp(join(folder, 'erp.sqlite'));
    const before = schemaOf(erp);
    expect(await agent('install')).to.equal(0);
    sellMany(erp, 1);
    expect(await agent('uninstall')).to.equal(1);
    expect(await agent('uninstall', '--force')).to.equal(0);
    expect(schemaOf(erp)).to.deep.equal(before);
    erp.close();
  });

  it('[P5] uninstall does not drop refused sales that nobody has dealt with; it says what a later installation means', async () => {
    const erp = createErp(join(folder, 'erp.sqlite'));
    const gateway = await startSyncGateway();
    config['gateway'] = gateway.url;
    const running = agent('run', '--json');
    await until('it to be idle', () => out.includes('"event":"idle"'));
    sellInvoice(erp, invoice('R-1', [item('A')], { total: 'wrong' }));
    await until('the refusal', () => out.includes('"event":"batch_refused"'));
    stop();
    expect(await running).to.equal(0);
    // After the stop the agent's last words are of the same figures.
    const report = await ask<{ version: number; inbox: unknown; agent: Record<string, unknown> }>('status');
    expect(report.inbox).to.deep.equal({ gateway: 1, local: 0 });
    expect(report.agent).to.deep.include({ inbox: report.inbox, version: report.version, connected: false });
    expect(await agent('uninstall')).to.equal(1);
    expect(err).to.contain('1 refused by the gateway').and.contain('agent inbox');
    out = '';
    expect(await agent('uninstall', '--force')).to.equal(0);
    expect(out).to.contain('--adopt');
    erp.close();
    await gateway.close();
  });

  it('check finds what run would refuse: a database of another branch', async () => {
    createErp(join(folder, 'erp.sqlite')).close();
    expect(await agent('install')).to.equal(0);
    config['partition'] = 'durres';
    expect(await agent('check')).to.equal(78);
    expect(out).to.match(/FAULT database: .*belongs to the branch tirana/);
  });

  it('check says what the client may not do: write its branch, read what is to come down', async () => {
    createErp(join(folder, 'erp.sqlite')).close();
    const grants = { read: ['tirana'], write: ['tirana'] };
    const http = createServer((_, response) => response.end(JSON.stringify({ partitions: grants })));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    config['gateway'] = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    try {
      expect(await agent('check')).to.equal(0);
      expect(out).to.contain('nothing of other branches comes down').and.contain('grant it *:read');
      grants.read = ['*'];
      out = '';
      expect(await agent('check')).to.equal(0);
      expect(out).to.not.contain('comes down');
      grants.write = ['durres'];
      expect(await agent('check')).to.equal(77);
      expect(out).to.contain('may not write the partition tirana');
    } finally {
      http.close();
    }
  });

  it('movements that name an invoice which is not there are counted, in check and status', async () => {
    const erp = createErp(join(folder, 'erp.sqlite'));
    erp.database.exec(`PRAGMA foreign_keys = OFF;
      INSERT INTO stock_movements (invoice_id, sku, quantity, moved_at) VALUES (0, 'A', 1, ''), (0, 'B', 1, '')`);
    await agent('check');
    expect(out).to.contain('stock_movements: 2 movements name a head that is not in the database');
    expect(await agent('install')).to.equal(0);
    expect(await ask('status')).to.deep.include({ headless: 2, held: null });
    await agent('status');
    expect(out).to.match(/not sent +2 movements/);
    erp.close();
  });

  it('faults of the configuration are told in plain words', async () => {
    config['mapping'] = undefined;
    config['pollMs'] = 'fast';
    expect(await agent('check')).to.equal(78);
    expect(err).to.contain('mapping: is missing').and.contain('pollMs: must be a number, not a text');
    const columns = { sku: 'sku', price: { column: 'unitPrice', as: 'cents' } };
    const down = [{ collection: 'stoku', table: 'products', partitions: 'own', key: ['sku'], columns }];
    config['mapping'] = { down };
    err = '';
    expect(await agent('check')).to.equal(78);
    expect(err)
      .to.contain('mapping.down.0.columns.price: must be the name of a field')
      .and.contain('{"field": ');
    expect(err).to.not.contain('Invalid input');
  });

  it('every command has --help, and an unknown one is a fault of usage', async () => {
    for (const name of ['run', 'status', 'inbox', 'check', 'install', 'uninstall'])
      expect(await agent(name, '--help')).to.equal(0);
    expect(await agent('dance')).to.equal(2);
  });

  it('install --help says what --resend may count twice, and what is the usual answer (ADR 12)', async () => {
    expect(await agent('install', '--help')).to.equal(0);
    const text = out.replace(/\s+/g, ' ');
    expect(text).to.contain('the usual answer').and.to.contain('first run that was cut short');
    expect(text).to.contain('captured while an agent was installed would count twice');
  });

  it('with --json an error of any kind is one object on the error output, and nothing else is written', async () => {
    const cases: [number, string, string[]][] = [
      [2, 'usage', ['dance', '--json']],
      [2, 'usage', ['--json']],
      [2, 'usage', ['status', '--json', '--config', file, '--bogus']],
      [78, 'configuration', ['status', '--json']],
      [78, 'configuration', ['check', '--json', '--config', join(folder, 'none.json')]],
    ];
    for (const [exitCode, code, args] of cases) {
      const streams = { out: '', err: '' };
      const given = await runCommand(
        {
          stdout: { write: (text) => (streams.out += text) },
          stderr: { write: (text) => (streams.err += text) },
          onStop: () => undefined,
        },
        args,
      );
      const { error } = JSON.parse(streams.err) as { error: Record<string, unknown> };
      expect([given, error['exitCode'], error['code']]).to.deep.equal([exitCode, exitCode, code]);
      expect(error['message'])
        .to.be.a('string')
        .and.not.match(/^error:/);
      expect(streams.out).to.equal('');
    }
  });

  it('what was captured is shown and kept before the first run too', async () => {
    const erp = createErp(join(folder, 'erp.sqlite'));
    sellMany(erp, 2);
    expect(await ask('status')).to.deep.include({ installed: false, agent: null });
    expect(await agent('inbox', '--dismiss', '7')).to.equal(1);
    expect(err).to.contain('There is no entry 7');
    expect(await agent('install')).to.equal(0);
    expect(await ask('status')).to.deep.include({
      installed: true,
      captured: 0,
      backfill: { done: 0, total: 5 },
    });
    expect(await agent('uninstall')).to.equal(1);
    expect(err).to.contain('5 older rows');
    sellMany(erp, 1, 'later');
    expect((await ask<{ captured: number }>('status')).captured).to.be.above(0);
    erp.close();
  });

  it('status says why it is not connected, while it runs and after', async () => {
    createErp(join(folder, 'erp.sqlite')).close();
    const tokensFor = (): ReturnType<typeof tokensOf> => ({
      getAccessToken: () =>
        Promise.reject(new ApiError({ status: 401, code: 'invalid_client', message: 'no such client' })),
    });
    writeFileSync(file, JSON.stringify(config));
    const stdout = { write: (text: string) => (out += text) };
    const deps = { stdout, stderr: stdout, onStop: () => undefined, tokensFor };
    expect(await runCommand(deps, ['run', '--config', file])).to.equal(77);
    expect(out).to.contain('is clientId right');
    out = '';
    await agent('status');
    expect(out)
      .to.match(/agent +not running/)
      .and.contain('refused: invalid_client (no such client)');
    expect(await runCommand(deps, ['check', '--config', file])).to.equal(77);
    expect(out).to.contain('is clientId right');
  });

  function agent(command: string, ...options: string[]): Promise<number> {
    writeFileSync(file, JSON.stringify(config));
    return runCommand(
      {
        stdout: { write: (text) => (out += text) },
        stderr: { write: (text) => (err += text) },
        onStop: (fn) => (stop = fn),
        ...(config['gateway'] === 'http://127.0.0.1:9' ? {} : { tokensFor: () => tokensOf('tirana') }),
      },
      [command, '--config', file, ...options],
    );
  }

  async function ask<T>(command: string): Promise<T> {
    const before = out.length;
    expect(await agent(command, '--json')).to.equal(0);
    return JSON.parse(out.slice(before)) as T;
  }

  function schemaOf({ database }: ReturnType<typeof createErp>): string[] {
    const select = `SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name`;
    return (database.prepare(select).all() as { name: string }[]).map(({ name }) => name);
  }
});
