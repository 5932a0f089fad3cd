import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import type { Agent } from '../../agent/agent.ts';
import { uninstall } from '../../agent/capture.ts';
import { decideOlder, readInbox, readReport, requestRetry } from '../../agent/look.ts';
import { createErp, sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { centreBooks, createBranch, invoice, item, localBooks, recordsAt, settled } from './support.ts';

describe('agent: reinstalled, or on an old copy', () => {
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

  it('[P2] on a copy from before the first run the opening stock is held, not counted twice', async () => {
    moveIn('A1', 100);
    const copy = backUp();
    await settled(gateway, branch.start());
    expect(await quantityOf('A1')).to.equal(100);
    await branch.stop();
    restore(copy);
    const agent = branch.start();
    await heldIn(agent);
    expect(await quantityOf('A1')).to.equal(100);
    const { held, backfill } = await readReport(branch.config);
    expect(held).to.contain('agent install --adopt');
    expect(backfill).to.deep.equal({ done: 0, total: 1 });
    // What is sold goes on meanwhile; a change of what is held counts by its difference.
    sellInvoice(branch.erp, invoice('1', [item('A1', 2)]));
    branch.erp.database.exec(`UPDATE stock_movements SET quantity = 90 WHERE invoice_id IS NULL`);
    await until('both', async () => (await quantityOf('A1')) === 88);
    decideOlder(branch.config, 'adopt');
    await settled(gateway, agent);
    moveIn('A1', 5);
    await until('the delivery', async () => (await quantityOf('A1')) === 93);
    expect((await agent.status()).lastError).to.equal(null);
  });

  it('[P2] installed again, it holds movements without a head; invoices are known by their ids', async () => {
    moveIn('A1', 100);
    sellInvoice(branch.erp, invoice('old', [item('A1', 1)]));
    const first = branch.start();
    await settled(gateway, first);
    moveIn('A1', 7);
    sellInvoice(branch.erp, invoice('live', [item('A1', 2)]));
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).size === 2);
    await until('the delivery', async () => (await quantityOf('A1')) === 104);
    await branch.stop();
    uninstall(branch.erp.database);
    sellInvoice(branch.erp, invoice('between', [item('A1', 3)]));
    const agent = branch.start();
    await heldIn(agent);
    await until('the sale between', async () => (await recordsAt(gateway, 'fatura')).has('tirana/between'));
    await until('the queue to be empty', async () => (await agent.status()).queue === 0);
    expect(await quantityOf('A1')).to.equal(101);
    decideOlder(branch.config, 'adopt');
    await settled(gateway, agent);
    const books = await centreBooks(gateway, 'tirana');
    expect(books.invoices).to.deep.equal(localBooks(branch).invoices);
    expect(await quantityOf('A1')).to.equal(101);
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 0 });
    expect(branch.lines.map(({ event }) => event)).to.not.include('batch_refused');
  });

  it('[P2] what an earlier run has sent of the older rows is known by its batchId when the rest is sent', async () => {
    for (let at = 0; at < 3; at += 1) moveIn(`A${at}`, 10);
    await settled(gateway, branch.start());
    await branch.stop();
    uninstall(branch.erp.database);
    moveIn('A3', 10);
    const agent = branch.start();
    await heldIn(agent);
    decideOlder(branch.config, 'resend');
    await settled(gateway, agent);
    const stock = await recordsAt(gateway, 'stoku');
    expect([...stock.values()].map(({ data }) => data['quantity'])).to.deep.equal([10, 10, 10, 10]);
  });

  it('[P2] an older movement that was changed since it was sent is refused visibly, never counted again', async () => {
    moveIn('A1', 100);
    moveIn('A2', 10);
    await settled(gateway, branch.start());
    await branch.stop();
    uninstall(branch.erp.database);
    branch.erp.database.exec(`UPDATE stock_movements SET quantity = 90 WHERE sku = 'A1'`);
    const agent = branch.start();
    await heldIn(agent);
    decideOlder(branch.config, 'resend');
    await until('the refusal', async () => (await agent.status()).inbox.local === 1);
    await settled(gateway, agent);
    const { gateway: there, local } = await readInbox(branch.config);
    expect([there.length, local[0]?.reason, local[0]?.key]).to.deep.equal([0, 'sent_before', 'tirana/A1']);
    expect(() => requestRetry(branch.config, String(local[0]?.n))).to.throw(/only whole acts/);
    expect([await quantityOf('A1'), await quantityOf('A2')]).to.deep.equal([100, 10]);
  });

  it('[P2] a copy from between installation and end is the same installation: it goes on, once', async () => {
    for (let at = 0; at < 3; at += 1) moveIn(`A${at}`, 10);
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    await until('the question', async () => (await offline.status()).queue === 1);
    await branch.stop();
    branch.config.gateway = gateway.url;
    const copy = backUp();
    await settled(gateway, branch.start());
    await branch.stop();
    restore(copy);
    await settled(gateway, branch.start());
    const stock = await recordsAt(gateway, 'stoku');
    expect([...stock.values()].map(({ data }) => data['quantity'])).to.deep.equal([10, 10, 10]);
  });

  it('[P2] a change of an older movement before the centre has answered waits for the answer', async () => {
    moveIn('A1', 100);
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    await until('the question', async () => (await offline.status()).queue === 1);
    branch.erp.database.exec('UPDATE stock_movements SET quantity = 60');
    await until('the capture', async () => (await offline.status()).captured === 1);
    await branch.stop();
    branch.config.gateway = gateway.url;
    await settled(gateway, branch.start());
    expect(await quantityOf('A1')).to.equal(60);
  });

  it('who may not write the record that tells installations apart is told, and sends no older movements', async () => {
    moveIn('A1', 100);
    const token = tokenFor({ id: 'tirana', partitions: ['durres'] });
    const agent = branch.start({ tokens: { getAccessToken: () => Promise.resolve(token) } });
    await heldIn(agent);
    expect((await agent.status()).lastError).to.contain('the centre did not take the record');
    await branch.stop();
    await settled(gateway, branch.start());
    expect(await quantityOf('A1')).to.equal(100);
  });

  async function heldIn(agent: Agent): Promise<void> {
    await until(
      'it to be held',
      async () => (await agent.status()).lastError?.startsWith('older_rows_held') === true,
    );
  }

  function moveIn(sku: string, quantity: number): void {
    branch.erp.database
      .prepare(`INSERT INTO stock_movements (sku, quantity, moved_at) VALUES (?, ?, '2010-12-01')`)
      .run(sku, quantity);
  }

  async function quantityOf(sku: string): Promise<unknown> {
    return (await recordsAt(gateway, 'stoku')).get(`tirana/${sku}`)?.data['quantity'];
  }

  function backUp(): string {
    const copy = `${branch.config.database}.backup`;
    branch.erp.database.exec(`VACUUM INTO '${copy}'`);
    return copy;
  }

  function restore(copy: string): void {
    const { database } = branch.config;
    branch.erp.close();
    for (const suffix of ['-wal', '-shm']) rmSync(`${database}${suffix}`, { force: true });
    copyFileSync(copy, `${database}.new`);
    renameSync(`${database}.new`, database);
    branch.erp = createErp(database);
  }
});
