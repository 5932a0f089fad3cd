import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runCommand } from '../../agent/commands.ts';
import { createErp, sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import { createBranch, invoice, item, recordsAt, sellMany, settled, tokensOf } from './support.ts';

const EXAMPLE = new URL('../../agent/example-config.json', import.meta.url);

interface Example {
  mapping: {
    acts: { fields: Record<string, unknown> }[];
    records: { fields: Record<string, unknown> }[];
  };
}

describe('agent: rows that the centre would refuse', () => {
  let gateway: SyncGateway;
  let folder: string;
  before(async () => (gateway = await startSyncGateway()));
  after(() => gateway.close());
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sluice-agent-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** `agent check` of an ERP with words and dates of its own. */
  async function check(change: (config: Example) => void): Promise<{ code: number; out: string }> {
    const config = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Example;
    const given = { gateway: gateway.url, database: 'erp.sqlite', partition: 'tirana', clientId: 'tirana' };
    change(config);
    writeFileSync(join(folder, 'branch.secret'), 'hush\n', { mode: 0o600 });
    writeFileSync(join(folder, 'agent.json'), JSON.stringify({ ...config, ...given }));
    let out = '';
    const write = (text: string): void => void (out += text);
    const code = await runCommand(
      { stdout: { write }, stderr: { write }, onStop: () => undefined, tokensFor: () => tokensOf('tirana') },
      ['check', '--config', join(folder, 'agent.json')],
    );
    return { code, out };
  }

  function createOwnErp(path: string): void {
    const erp = createErp(path);
    sellMany(erp, 3);
    erp.database.exec('PRAGMA ignore_check_constraints = ON');
    sellInvoice(erp, invoice('OWN', [item('S1')], { kind: 'shitje' as 'sale', date: '20.11.2026' }));
    erp.database.exec(`INSERT INTO orders (number, status) VALUES ('R-1', 'e re')`);
    erp.close();
  }

  it('check names values and dates that would be refused, what is allowed, and how to translate them', async () => {
    createOwnErp(join(folder, 'erp.sqlite'));
    const { code, out } = await check(() => undefined);
    expect(code).to.equal(78);
    expect(out).to.match(/FAULT rows: .*order: status must be one of draft, placed/);
    expect(out).to.contain('1 of the 1 rows looked at, first "e re" in tirana/R-1');
    expect(out)
      .to.contain('invoice: kind must be one of sale, credit')
      .and.contain('invoice: date must be a date');
    expect(out).to.contain('"values"').and.contain('"as"');
  });

  it('translated in the mapping they fit', async () => {
    createOwnErp(join(folder, 'erp.sqlite'));
    const { out } = await check(({ mapping }) => {
      mapping.acts[0]!.fields['kind'] = { column: 'kind', values: { shitje: 'sale' } };
      mapping.records[1]!.fields['status'] = { column: 'status', values: { 'e re': 'draft' } };
    });
    expect(out).to.contain('date must be a date').and.contain('"20.11.2026"');
    expect(out).to.not.contain('must be one of');
  });

  it('a date that does not have the form that "as" states is told as well', async () => {
    createOwnErp(join(folder, 'erp.sqlite'));
    const { out } = await check(({ mapping }) => {
      mapping.acts[0]!.fields['date'] = { column: 'issued_at', as: 'dd.mm.yyyy' };
    });
    expect(out).to.contain('issued_at is no date of the form dd.mm.yyyy (3 of the 4 rows');
  });

  it('[P2] an order goes up in the words of the centre and comes down in those of the shop', async () => {
    const branch = createBranch(gateway.url, 'durres');
    try {
      const [order, down] = [branch.config.mapping.records[1]!, branch.config.mapping.down[3]!];
      order.fields['status'] = { column: 'status', values: { 'e re': 'draft', porositur: 'placed' } };
      down.columns['status'] = { field: 'status', values: { draft: 'e re', placed: 'porositur' } };
      branch.erp.database.exec(`INSERT INTO orders (number, status) VALUES ('R-1', 'e re')`);
      const agent = branch.start();
      await settled(gateway, agent);
      branch.erp.database.exec(`UPDATE orders SET status = 'porositur' WHERE number = 'R-1'`);
      const dataOf = async () => (await recordsAt(gateway, 'porosia', 'durres')).get('durres/R-1')?.data;
      await until('the step', async () => (await dataOf())?.['status'] === 'placed');
      await settled(gateway, agent);
      const [row] = branch.erp.database.prepare('SELECT status FROM orders').all() as { status: string }[];
      expect(row?.status).to.equal('porositur');
    } finally {
      await branch.close();
    }
  });
});
