import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runCommand } from '../../agent/commands.ts';
import { createErp } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import { recordsAt, sellMany, tokensOf } from './support.ts';

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
    Object.assign(config, { gateway: 'http://127.0.0.1:9', database: 'erp.sqlite', partition: 'tirana' });
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

  it('every command has --help, and an unknown one is a fault', async () => {
    for (const name of ['run', 'status', 'inbox', 'check', 'install', 'uninstall'])
      expect(await agent(name, '--help')).to.equal(0);
    expect(await agent('dance')).to.equal(1);
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
