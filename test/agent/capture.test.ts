import { expect } from 'chai';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import {
  centreBooks,
  createBranch,
  headOf,
  invoice,
  item,
  localBooks,
  recordsAt,
  sellMany,
  settled,
} from './support.ts';

describe('agent: capture', () => {
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

  it('[P4] pushes an invoice with its lines and stock movements as one batch', async () => {
    const agent = branch.start();
    await settled(gateway, agent);
    sellInvoice(branch.erp, invoice('1001', [item('A', 2), item('B', 3), item('A', 5)]));
    await until('the invoice', async () => (await recordsAt(gateway, 'fatura')).size === 1);
    await settled(gateway, agent);
    const sale = (await recordsAt(gateway, 'fatura')).get('tirana/1001');
    const stock = await recordsAt(gateway, 'stoku');
    expect([...stock.values()].map(({ version }) => version)).to.deep.equal([sale?.version, sale?.version]);
    expect(stock.get('tirana/A')?.data).to.deep.equal({
      sku: 'A',
      quantity: -7,
      name: 'product A',
      unitPrice: '2.50',
    });
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('[P2] queues what was there before the agent, once', async () => {
    sellMany(branch.erp, 120);
    const agent = branch.start();
    sellMany(branch.erp, 30, 'later');
    await settled(gateway, agent);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P4] what was there before goes as it would have gone: an invoice with its movements in one batch, oldest first', async () => {
    const insert = 'INSERT INTO stock_movements (invoice_id, sku, quantity, moved_at) VALUES (NULL, ?, ?, ?)';
    branch.erp.database.prepare(insert).run('S1', 100, '2010-12-01');
    sellMany(branch.erp, 120);
    await settled(gateway, branch.start());
    const { rows } = await gateway.db.syncPool.query<{ version: string; ids: string[] }>(
      `SELECT version, array_agg(record_id ORDER BY idx) AS ids FROM changes
       GROUP BY version HAVING bool_or(collection = 'fatura') ORDER BY version`,
    );
    const moved = branch.erp.database.prepare(
      `SELECT DISTINCT 'tirana/' || sku AS id FROM stock_movements JOIN invoices i ON i.id = invoice_id WHERE i.number = ?`,
    );
    expect(rows.map(({ ids }) => ids[0])).to.deep.equal(sold(120));
    for (const { ids } of rows) {
      const [invoiceId = '', ...movements] = ids;
      const expected = (moved.all(invoiceId.slice('tirana/'.length)) as { id: string }[]).map(({ id }) => id);
      expect(movements).to.have.members(expected);
    }
    // No more than there is, while it lasts: what came in without an invoice follows what went out with one.
    const last = await gateway.db.syncPool.query<{ id: string }>(
      `SELECT record_id AS id FROM changes WHERE collection = 'stoku' ORDER BY version DESC LIMIT 1`,
    );
    expect(last.rows[0]?.id).to.equal('tirana/S1');
    expect(await headOf(gateway)).to.be.above(Number(rows.at(-1)?.version));
  });

  it('captures while the agent is not running, and without backfill only that', async () => {
    Object.assign(branch.config, { backfill: false });
    sellMany(branch.erp, 3, 'old');
    await settled(gateway, branch.start());
    await branch.stop();
    sellMany(branch.erp, 5, 'new');
    await settled(gateway, branch.start());
    const ids = [...(await recordsAt(gateway, 'fatura')).keys()];
    expect(ids).to.deep.equal([0, 1, 2, 3, 4].map((n) => `tirana/new${n}`));
  });

  it('[P4] pushes an invoice of 1,100 products in one batch', async () => {
    const agent = branch.start();
    const lines = Array.from({ length: 1_100 }, (_, at) => item(`SKU${at}`, 1 + (at % 5)));
    sellInvoice(branch.erp, invoice('big', lines));
    await until('the invoice', async () => (await recordsAt(gateway, 'fatura')).size === 1);
    await settled(gateway, agent);
    const versions = new Set([...(await recordsAt(gateway, 'stoku')).values()].map((one) => one.version));
    expect([...versions]).to.deep.equal([(await recordsAt(gateway, 'fatura')).get('tirana/big')?.version]);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('[P5] refuses an invoice that no batch can hold, visibly, and goes on', async () => {
    const agent = branch.start();
    const long = 'x'.repeat(900);
    const lines = Array.from({ length: 400 }, (_, at) => ({ ...item(`SKU${at}`), description: long }));
    sellInvoice(branch.erp, invoice('huge', lines));
    sellInvoice(branch.erp, invoice('next', [item('A')]));
    await until('the next one', async () => (await recordsAt(gateway, 'fatura')).has('tirana/next'));
    await settled(gateway, agent);
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 1 });
    expect((await recordsAt(gateway, 'fatura')).has('tirana/huge')).to.equal(false);
  });

  it('[P5] a change of an invoice that was sent is refused visibly; its stock correction is pushed', async () => {
    const agent = branch.start();
    sellInvoice(branch.erp, invoice('1', [item('A', 4)]));
    await settled(gateway, agent);
    await until('the invoice', async () => (await recordsAt(gateway, 'fatura')).size === 1);
    branch.erp.database.exec(
      `BEGIN; UPDATE invoices SET total = '9.99'; UPDATE stock_movements SET quantity = -3; COMMIT`,
    );
    await until('the refusal', async () => (await agent.status()).inbox.local === 1);
    await settled(gateway, agent);
    expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data['quantity']).to.equal(-3);
    expect((await recordsAt(gateway, 'fatura')).get('tirana/1')?.data['total']).to.equal('10.00');
  });

  it('a movement without an invoice stands for itself', async () => {
    const insert = 'INSERT INTO stock_movements (invoice_id, sku, quantity, moved_at) VALUES (NULL, ?, ?, ?)';
    branch.erp.database.prepare(insert).run('A', 10, '2010-12-01');
    const agent = branch.start();
    branch.erp.database.prepare(insert).run('A', 5, '2010-12-02');
    await settled(gateway, agent);
    expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data['quantity']).to.equal(15);
  });

  it('notices triggers that the ERP has dropped with its table, and what they missed', async () => {
    const agent = branch.start();
    sellMany(branch.erp, 3);
    await settled(gateway, agent);
    branch.erp.database.exec(`DROP TRIGGER sluice_agent_invoices_i`);
    sellMany(branch.erp, 3, 'missed');
    await settled(gateway, agent);
    await until('all', async () => (await recordsAt(gateway, 'fatura')).size === 6);
    await settled(gateway, agent);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('[P4] a backlog of many thousand rows is moved act by act, none of them torn', async function () {
    this.timeout(60_000);
    await settled(gateway, branch.start());
    await branch.stop();
    for (let at = 0; at < 90; at += 1) {
      const lines = Array.from({ length: 40 }, (_, line) => item(`S${(at * 7 + line) % 300}`, 1 + line));
      sellInvoice(branch.erp, invoice(`N${at}`, lines));
    }
    await settled(gateway, branch.start());
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
    expect(branch.lines.filter((line) => line.event === 'refused_here')).to.deep.equal([]);
  });

  it('a sale costs no version but its own', async () => {
    const agent = branch.start();
    sellMany(branch.erp, 21);
    await settled(gateway, agent);
    const before = await headOf(gateway);
    sellInvoice(branch.erp, invoice('last', [item('S1'), item('S2')]));
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/last'));
    await settled(gateway, agent);
    expect(await headOf(gateway)).to.equal(before + 1);
  });
});

function sold(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `tirana/N${at}`);
}
