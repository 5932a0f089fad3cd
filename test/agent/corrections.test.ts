import { expect } from 'chai';
import type { Agent } from '../../agent/agent.ts';
import { dismissInbox, readInbox, requestRetry } from '../../agent/look.ts';
import type { ActMapping } from '../../agent/mapping.ts';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { centreBooks, createBranch, invoice, item, localBooks, recordsAt, settled } from './support.ts';

describe('agent: correcting what was refused', () => {
  let gateway: SyncGateway;
  let branch: Branch;

  beforeEach(async () => {
    gateway = await startSyncGateway();
    branch = createBranch(gateway.url, 'tirana');
  });

  afterEach(async () => {
    await branch.close();
    await gateway.close();
  });

  it('[P5] a refused sale that is corrected goes as it is now, and its entry is settled', async () => {
    const agent = branch.start();
    await refusedSale(agent, 'R-1');
    branch.erp.database.exec(
      `BEGIN; UPDATE invoices SET total = '5.00'; UPDATE stock_movements SET quantity = -3; COMMIT`,
    );
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/R-1'));
    await settled(gateway, agent);
    expect((await centreBooks(gateway, 'tirana')).invoices).to.deep.equal(localBooks(branch).invoices);
    expect(await quantityOf('A')).to.equal(-3);
    await emptyInbox(agent);
    // Now the centre has it: a further change is told, and the entry says what is true.
    branch.erp.database.exec(`UPDATE invoices SET total = '6.00'`);
    await until('the refusal', async () => (await agent.status()).inbox.local === 1);
    expect((await readInbox(branch.config)).local[0]?.detail).to.contain('the centre had accepted it');
  });

  it('[P5] corrected again and again, under another number too, it is sent when it is right', async () => {
    const agent = branch.start();
    await refusedSale(agent, 'R-1');
    branch.erp.database.exec(`UPDATE invoices SET total = 'still wrong'`);
    await until(
      'the second try',
      () => branch.lines.filter(({ event }) => event === 'batch_refused').length === 2,
    );
    await settled(gateway, agent);
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 1, local: 0 });
    branch.erp.database.exec(`UPDATE invoices SET total = '5.00', number = 'R-2'`);
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/R-2'));
    await settled(gateway, agent);
    expect(await quantityOf('A')).to.equal(-2);
    await emptyInbox(agent);
  });

  it('[P5] what is corrected before the verdict waits for it: nothing of a refused sale counts by itself', async () => {
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    await until('the installation', async () => (await offline.status()).queue === 1);
    sellInvoice(branch.erp, invoice('R-1', [item('A', 2)], { total: 'wrong' }));
    sellInvoice(branch.erp, invoice('R-2', [item('B', 2)]));
    await until('the outbox', async () => (await offline.status()).captured === 0);
    branch.erp.database.exec(
      `BEGIN; UPDATE invoices SET total = '5.00' WHERE number = 'R-1'; UPDATE stock_movements SET quantity = -3; COMMIT`,
    );
    sellInvoice(branch.erp, invoice('R-3', [item('B', 1)]));
    await until('the third', async () => (await offline.status()).captured === 3);
    expect((await offline.status()).inbox).to.deep.equal({ gateway: 0, local: 0 });
    await branch.stop();
    branch.config.gateway = gateway.url;
    const agent = branch.start();
    await until('all', async () => (await recordsAt(gateway, 'fatura')).size === 3);
    await settled(gateway, agent);
    expect([await quantityOf('A'), await quantityOf('B')]).to.deep.equal([-3, -4]);
    await emptyInbox(agent);
  });

  it('[P5] after a mistake in the mapping is mended, --retry builds what was refused anew', async () => {
    const act = branch.config.mapping.acts[0] as ActMapping;
    const { total } = act.fields;
    act.fields['total'] = { column: 'kind', as: undefined };
    const wrong = branch.start();
    sellInvoice(branch.erp, invoice('1', [item('A', 2)]));
    sellInvoice(branch.erp, invoice('2', [item('A', 2)]));
    await until('the refusals', async () => (await wrong.status()).inbox.gateway === 2);
    await branch.stop();
    if (total) act.fields['total'] = total;
    requestRetry(branch.config, 'all');
    const agent = branch.start();
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 2);
    await settled(gateway, agent);
    expect((await centreBooks(gateway, 'tirana')).invoices).to.deep.equal(localBooks(branch).invoices);
    expect(await quantityOf('A')).to.equal(-4);
    await emptyInbox(agent);
  });

  it('[P5] a sale that was refused here is corrected like any other; a dismissed one too', async () => {
    const agent = branch.start();
    sellInvoice(branch.erp, invoice('1', [item('A', 2)]));
    await settled(gateway, agent);
    branch.erp.database.exec(`INSERT INTO invoices VALUES (7, 'L-1', '2010-12-01', 'sale', NULL, x'00')`);
    branch.erp.database.exec(`INSERT INTO invoices VALUES (8, 'L-2', '2010-12-01', 'sale', NULL, x'00')`);
    await until('the refusals', async () => (await agent.status()).inbox.local === 2);
    const [, second] = (await readInbox(branch.config)).local;
    dismissInbox(branch.config, String(second?.n));
    branch.erp.database.exec(`UPDATE invoices SET total = '1.00' WHERE id IN (7, 8)`);
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 3);
    await settled(gateway, agent);
    await emptyInbox(agent);
  });

  it('[P5] a refused sale that is deleted settles its entry; a movement of its own is corrected as a whole', async () => {
    const agent = branch.start();
    await refusedSale(agent, 'R-1');
    branch.erp.database.exec(
      'BEGIN; DELETE FROM stock_movements; DELETE FROM invoice_lines; DELETE FROM invoices; COMMIT',
    );
    await emptyInbox(agent);
    branch.erp.database.exec(
      `INSERT INTO stock_movements (sku, quantity, moved_at) VALUES ('B', x'00', '2010-12-01')`,
    );
    await until('the refusal', async () => (await agent.status()).inbox.local === 1);
    branch.erp.database.exec(`UPDATE stock_movements SET quantity = 12 WHERE sku = 'B'`);
    await until('the movement', async () => (await quantityOf('B')) === 12);
    await settled(gateway, agent);
    await emptyInbox(agent);
    expect(await quantityOf('A')).to.equal(0);
  });

  async function refusedSale(agent: Agent, number: string): Promise<void> {
    sellInvoice(branch.erp, invoice(number, [item('A', 2)], { total: 'wrong' }));
    await until('the refusal', async () => (await agent.status()).inbox.gateway === 1);
  }

  async function emptyInbox(agent: Agent): Promise<void> {
    await until('an empty inbox', async () => {
      const { gateway: there, local } = (await agent.status()).inbox;
      return there + local === 0;
    });
  }

  async function quantityOf(sku: string): Promise<unknown> {
    return (await recordsAt(gateway, 'stoku')).get(`tirana/${sku}`)?.data['quantity'];
  }
});
