import { expect } from 'chai';
import type { Agent } from '../../agent/agent.ts';
import { readInbox, requestRetry } from '../../agent/look.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, recordsAt, settled } from './support.ts';

describe('agent: correcting a record that was refused', () => {
  let gateway: SyncGateway;
  let branch: Branch;

  beforeEach(async () => {
    gateway = await startSyncGateway();
    branch = createBranch(gateway.url, 'tirana');
    branch.erp.database.exec('PRAGMA ignore_check_constraints = ON');
    // What the centre has would else be written over what was refused.
    branch.config.mapping.down = branch.config.mapping.down.filter(({ replica }) => replica);
  });
  afterEach(async () => {
    await branch.close();
    await gateway.close();
  });

  const run = (sql: string): void => branch.erp.database.exec(sql);
  const orderAt = async (id = 'tirana/O-1') => (await recordsAt(gateway, 'porosia')).get(id)?.data;
  const inboxOf = async (agent: Agent) => (await agent.status()).inbox;
  const refusedOrder = async (agent: Agent): Promise<void> => {
    run(`INSERT INTO orders (number, status) VALUES ('O-1', 'e re')`);
    await until('the refusal', async () => (await inboxOf(agent)).gateway === 1);
  };

  it('[P5] corrected and accepted it leaves the inbox', async () => {
    const agent = branch.start();
    await refusedOrder(agent);
    run(`UPDATE orders SET status = 'placed'`);
    await until('the order', async () => (await orderAt())?.['status'] === 'placed');
    await settled(gateway, agent);
    expect(await inboxOf(agent)).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P5] --retry sends it as it is now, by the mapping there is now', async () => {
    await refusedOrder(branch.start());
    await branch.stop();
    const order = branch.config.mapping.records[1]!;
    order.fields['status'] = { column: 'status', values: { 'e re': 'draft' } };
    requestRetry(branch.config, 'all');
    const agent = branch.start();
    await until('the order', async () => (await orderAt())?.['status'] === 'draft');
    await settled(gateway, agent);
    expect(await inboxOf(agent)).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P5] --retry of what is wrong still is refused anew, once; of what was deleted it settles the entry', async () => {
    const agent = branch.start();
    await refusedOrder(agent);
    const [first] = (await readInbox(branch.config)).gateway;
    requestRetry(branch.config, 'all');
    await until('another refusal', async () => {
      const [entry, ...others] = (await readInbox(branch.config)).gateway;
      return entry !== undefined && entry.batch.batchId !== first!.batch.batchId && others.length === 0;
    });
    const [entry] = (await readInbox(branch.config)).gateway;
    expect(entry?.verdict?.results[0]?.code).to.equal('schema_violation');
    run('DELETE FROM orders');
    await until('an empty inbox', async () => (await inboxOf(agent)).gateway === 0);
    expect(await orderAt()).to.equal(undefined);
  });

  it('[P5] what else was changed with the refused value goes with the correction', async () => {
    const agent = branch.start();
    run(`INSERT INTO products (sku, name, unit_price) VALUES ('A', 'old', '1.00')`);
    const product = async () => (await recordsAt(gateway, 'stoku')).get('tirana/A')?.data;
    await until('the product', async () => (await product()) !== undefined);
    run(`UPDATE products SET name = 'new', unit_price = 'many'`);
    await until('the refusal', async () => (await inboxOf(agent)).gateway === 1);
    run(`UPDATE products SET unit_price = '2.00'`);
    await until('the correction', async () => (await product())?.['unitPrice'] === '2.00');
    await settled(gateway, agent);
    expect((await product())?.['name']).to.equal('new');
    expect(await inboxOf(agent)).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P5] a step that was taken meanwhile settles the one refused before it', async () => {
    const agent = branch.start();
    run(`INSERT INTO orders (number, status) VALUES ('O-1', 'draft')`);
    await until('the order', async () => (await orderAt()) !== undefined);
    await settled(gateway, agent);
    await branch.stop();
    run(`UPDATE orders SET status = 'delivered'; UPDATE orders SET status = 'placed'`);
    const again = branch.start();
    await until('the step', async () => (await orderAt())?.['status'] === 'placed');
    await settled(gateway, again);
    expect(branch.lines.filter(({ event }) => event === 'batch_refused')).to.have.length(1);
    expect(await inboxOf(again)).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P5] corrected before the verdict has come it is sent as a whole', async () => {
    run(`INSERT INTO orders (number, status) VALUES ('O-0', 'draft')`);
    await settled(gateway, branch.start());
    await branch.stop();
    run(
      `INSERT INTO orders (number, status) VALUES ('O-1', 'e re'); UPDATE orders SET status = 'placed' WHERE number = 'O-1'`,
    );
    const agent = branch.start();
    await until('the order', async () => (await orderAt())?.['status'] === 'placed');
    await settled(gateway, agent);
    expect(await inboxOf(agent)).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P5] what was refused here, for its form, is corrected like the rest', async () => {
    const order = branch.config.mapping.records[1]!;
    Object.assign(order, {
      id: '${partition}/${id}',
      fields: { ...order.fields, number: { column: 'number', as: 'dd.mm.yyyy' } },
    });
    const agent = branch.start();
    run(`INSERT INTO orders (id, number, status) VALUES (1, 'soon', 'draft')`);
    await until('the refusal', async () => (await inboxOf(agent)).local === 1);
    run(`UPDATE orders SET number = '20.11.2026'`);
    await until('the order', async () => (await orderAt('tirana/1'))?.['number'] === '2026-11-20');
    await settled(gateway, agent);
    expect(await inboxOf(agent)).to.deep.equal({ gateway: 0, local: 0 });
  });
});
