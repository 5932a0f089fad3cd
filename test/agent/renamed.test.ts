import { expect } from 'chai';
import { decideOlder, readInbox, readReport } from '../../agent/look.ts';
import type { ActMapping } from '../../agent/mapping.ts';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, invoice, item, recordsAt, settled } from './support.ts';

describe('agent: a mapping that changed between two runs', () => {
  let gateway: SyncGateway;
  let branch: Branch;
  let act: ActMapping;

  beforeEach(async () => {
    gateway = await startSyncGateway();
    branch = createBranch(gateway.url, 'tirana');
    act = branch.config.mapping.acts[0]!;
    moveIn('stock_movements', 100);
    sellInvoice(branch.erp, invoice('1', [item('A', 1)]));
    await settled(gateway, branch.start());
    await branch.stop();
  });
  afterEach(async () => {
    await branch.close();
    await gateway.close();
  });

  const quantity = async (): Promise<unknown> =>
    (await recordsAt(gateway, 'stoku')).get('tirana/A')?.data['quantity'];
  const moveIn = (table: string, pieces: number): void =>
    branch.erp.database.exec(
      `INSERT INTO ${table} (sku, quantity, moved_at) VALUES ('A', ${pieces}, '2010-12-01')`,
    );

  it('[P2] movements of a table under a new name are held, not counted twice', async () => {
    moveIn('stock_movements', 10);
    branch.erp.database.exec('ALTER TABLE stock_movements RENAME TO movements');
    act.movements[0]!.table = 'movements';
    const agent = branch.start();
    await until(
      'it to be held',
      async () => (await agent.status()).lastError?.startsWith('older_rows_held') === true,
    );
    expect((await readReport(branch.config)).held).to.contain('a table that it did not name before');
    // Captured under the old name: what it was can be told, not known.
    const [told] = (await readInbox(branch.config)).local;
    expect([told?.reason, told?.key, told?.rows]).to.deep.equal(['not_mapped', 'stock_movements', 1]);
    moveIn('movements', 5);
    await until('what comes now', async () => (await quantity()) === 104);
    decideOlder(branch.config, 'adopt');
    await settled(gateway, agent);
    moveIn('movements', 1);
    await until('what comes then', async () => (await quantity()) === 105);
    expect((await agent.status()).lastError).to.equal(null);
  });

  it('[P2] an act under a new name is refused: by its name it is known what the centre has', async () => {
    act.name = 'sale';
    expect(await branch.start().done).to.equal(78);
    expect(JSON.stringify(branch.lines)).to.contain('was called \\"invoice\\" before');
    act.name = 'invoice';
    sellInvoice(branch.erp, invoice('2', [item('A', 1)]));
    await settled(gateway, branch.start());
    expect(await quantity()).to.equal(98);
  });

  it('[P2] a column that is added comes with what is sold from then on, and nothing twice', async () => {
    act.fields['customer'] = { column: 'kind' };
    sellInvoice(branch.erp, invoice('2', [item('A', 1)]));
    await settled(gateway, branch.start());
    expect((await recordsAt(gateway, 'fatura')).get('tirana/2')?.data['customer']).to.equal('sale');
    expect(await quantity()).to.equal(98);
  });

  it('a table that goes while it runs ends it with what is missing', async () => {
    const agent = branch.start();
    await settled(gateway, agent);
    branch.erp.database.exec('ALTER TABLE orders RENAME TO porosi');
    expect(await agent.done).to.equal(1);
    expect(JSON.stringify(branch.lines)).to.contain('the database has no table orders');
  });
});
