import { expect } from 'chai';
import { readInbox, requestRetry } from '../../agent/look.ts';
import { printInbox } from '../../agent/print.ts';
import { offenderOf } from '../../agent/offender.ts';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { systemClock } from '../../sdk/clock.ts';
import type { Clock } from '../../sdk/types.ts';
import { startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, invoice, item, recordsAt, sellMany, settled } from './support.ts';

describe('agent: a gateway that knows nothing of it, or takes nothing', () => {
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

  it('[P2] what is sold after the gateway was emptied arrives, once', async () => {
    sellInvoice(branch.erp, invoice('1', [item('A', 2)]));
    await settled(gateway, branch.start());
    await meetEmptyGateway();
    const agent = branch.start();
    await settled(gateway, agent);
    sellInvoice(branch.erp, invoice('2', [item('A', 3)]));
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/2'));
    await settled(gateway, agent);
    expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data).to.include({ quantity: -3 });
    expect(branch.lines.map(({ event }) => event)).to.not.include.members(['batch_refused']);
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 0 });
  });

  it('[P2] what was queued before it met the emptied gateway is sent again, with the record', async () => {
    sellInvoice(branch.erp, invoice('1', [item('A', 2), item('B', 1)]));
    await settled(gateway, branch.start());
    await branch.stop();
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    for (const number of ['2', '3', '4']) sellInvoice(branch.erp, invoice(number, [item('A', 3), item('B')]));
    branch.erp.database.exec(`UPDATE products SET unit_price = '7.00' WHERE sku = 'A'`);
    await until('the outbox', async () => (await offline.status()).queue === 4);
    await meetEmptyGateway();
    const agent = branch.start();
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 3);
    await settled(gateway, agent);
    const stock = await recordsAt(gateway, 'stoku');
    expect(stock.get('tirana/A')?.data).to.include({ sku: 'A', quantity: -9, unitPrice: '7.00' });
    expect(stock.get('tirana/B')?.data).to.include({ sku: 'B', quantity: -3 });
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 0 });
    const again = branch.lines.find(({ event }) => event === 'batch_sent_again');
    expect(again).to.include({ code: 'not_found', collection: 'stoku', id: 'tirana/A' });
  });

  it('a refusal names the record that is refused, not the first of its batch', () => {
    const results = [
      { status: 'rejected' as const, code: 'batch_refused' },
      { status: 'rejected' as const, code: 'not_found' },
    ];
    const mutations = [
      { collection: 'fatura', id: 'tirana/1', op: 'put' as const },
      { collection: 'stoku', id: 'tirana/A', op: 'patch' as const },
    ];
    const offender = { collection: 'stoku', id: 'tirana/A', code: 'not_found' };
    expect(offenderOf({ mutations }, { results })).to.deep.equal(offender);
  });

  it('pushes that all fail are told, in log and status, until one succeeds', async () => {
    const after: Clock['after'] = (ms, fn) => systemClock.after(Math.min(ms, 50), fn);
    const agent = branch.start({ engine: { clock: { ...systemClock, after } } });
    await settled(gateway, agent);
    await gateway.db.syncPool.query('ALTER TABLE records RENAME TO gone');
    sellMany(branch.erp, 1);
    await until('the fault', async () => (await agent.status()).lastError !== null);
    expect((await agent.status()).lastError).to.match(/^push_failing: (internal|unavailable)/);
    expect(branch.lines.filter(({ event }) => event === 'push_failing')).to.have.length(1);
    await gateway.db.syncPool.query('ALTER TABLE gone RENAME TO records');
    await settled(gateway, agent);
    expect((await agent.status()).lastError).to.equal(null);
  });

  it('[P5] an entry of the inbox names the invoice, and is sent again when somebody asks for it', async () => {
    const token = tokenFor({ id: 'tirana', partitions: ['durres'] });
    const elsewhere = branch.start({ tokens: { getAccessToken: () => Promise.resolve(token) } });
    sellInvoice(branch.erp, invoice('R-5', [item('A', 2)]));
    await until('the refusal', async () => (await elsewhere.status()).inbox.gateway === 2);
    const { gateway: entries } = await readInbox(branch.config);
    expect(printInbox({ gateway: entries, local: [] })).to.contain('fatura tirana/R-5: forbidden_partition');
    await branch.stop();
    const agent = branch.start();
    await settled(gateway, agent);
    // The sale alone: the record that its movement needs is created with it.
    requestRetry(branch.config, entries[1]?.batch.batchId ?? '');
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/R-5'));
    await settled(gateway, agent);
    expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data).to.include({ quantity: -2 });
    // So the entry of that record is settled too.
    expect((await agent.status()).inbox.gateway).to.equal(0);
    expect(() => requestRetry(branch.config, 'none')).to.throw(/refused no batch none/);
  });

  it('[P5] a sale that cannot be sent again is told, in log and status; the agent goes on, and sends it later', async () => {
    sellInvoice(branch.erp, invoice('1', [item('A', 2)]));
    await settled(gateway, branch.start());
    await branch.stop();
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    sellInvoice(branch.erp, invoice('2', [item('A', 3)]));
    await until('the outbox', async () => (await offline.status()).queue === 1);
    await meetEmptyGateway();
    branch.erp.database.exec(`UPDATE products SET name = x'00' WHERE sku = 'A'`);
    const agent = branch.start();
    await until('the fault', () => branch.lines.some(({ event }) => event === 'resend_failing'));
    expect((await agent.status()).lastError).to.match(/^resend_failing: batch .*name holds a blob/);
    expect((await agent.status()).inbox.gateway).to.equal(1);
    sellInvoice(branch.erp, invoice('3', [item('B')]));
    await until('the next sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/3'));
    branch.erp.database.exec(`UPDATE products SET name = 'tea' WHERE sku = 'A'`);
    await until('the sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/2'), 20_000);
    await settled(gateway, agent);
    expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data).to.include({ quantity: -3 });
    expect(await agent.status()).to.deep.include({ lastError: null, inbox: { gateway: 0, local: 0 } });
  });

  async function meetEmptyGateway(): Promise<void> {
    await branch.stop();
    await gateway.close();
    gateway = await startSyncGateway();
    branch.config.gateway = gateway.url;
  }
});
