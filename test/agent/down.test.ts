import { expect } from 'chai';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { connectWire, startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, headOf, invoice, item, recordsAt, sellMany, settled } from './support.ts';

describe('agent: what comes down', () => {
  let gateway: SyncGateway;
  let tirana: Branch;
  let durres: Branch;

  beforeEach(async () => {
    gateway = await startSyncGateway();
    tirana = createBranch(gateway.url, 'tirana');
    durres = createBranch(gateway.url, 'durres');
  });

  afterEach(async () => {
    await tirana.close();
    await durres.close();
    await gateway.close();
  });

  it('[P3] two branches see what the other one sells, in local tables', async () => {
    const agents = [tirana.start(), durres.start()];
    sellMany(tirana.erp, 10);
    sellMany(durres.erp, 7);
    await settled(gateway, ...agents);
    await settled(gateway, ...agents);
    const select = 'SELECT branch, sku, quantity FROM sluice_remote_stock ORDER BY sku';
    const seen = durres.erp.database.prepare(select).all();
    const own = tirana.erp.database
      .prepare(`SELECT 'tirana' AS branch, sku, quantity FROM stock ORDER BY sku`)
      .all();
    expect(JSON.stringify(seen)).to.equal(JSON.stringify(own));
    const count = 'SELECT count(*) AS n FROM sluice_remote_invoices';
    expect(durres.erp.database.prepare(count).get()).to.include({ n: 10 });
  });

  it('[P2] a price changed at the centre reaches the products, and is not echoed', async () => {
    const { price, versions } = await changePriceAtCentre({});
    expect(price).to.equal('9.75');
    expect(versions).to.equal(1);
  });

  it('[P2] known bad: without the guard the same change comes back as a batch', async () => {
    const { versions } = await changePriceAtCentre({ guard: false });
    expect(versions).to.be.greaterThan(1);
  });

  async function changePriceAtCentre(options: {
    guard?: boolean;
  }): Promise<{ price: unknown; versions: number }> {
    const agent = tirana.start(options);
    sellInvoice(tirana.erp, invoice('1', [item('A')]));
    await until('the sale', async () => (await recordsAt(gateway, 'stoku')).size === 1);
    await settled(gateway, agent);
    const before = await headOf(gateway);
    const centre = await connectWire(gateway.url);
    await centre.hello();
    const set = { unitPrice: '9.75' };
    await centre.push([{ collection: 'stoku', id: 'tirana/A', op: 'patch', set }]);
    await until('the price here', () => priceHere() === '9.75');
    // A commit of somebody else makes the agent look at what was captured.
    tirana.erp.database.exec(`INSERT INTO sluice_agent_meta (key, value) VALUES ('poke', '1')`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await settled(gateway, agent);
    centre.close();
    return { price: priceHere(), versions: (await headOf(gateway)) - before };
  }

  function priceHere(): unknown {
    const select = `SELECT unit_price FROM products WHERE sku = 'A'`;
    return (tirana.erp.database.prepare(select).get() as { unit_price: unknown }).unit_price;
  }

  it('orders go both ways: placed here, confirmed by the centre, shipped here', async () => {
    const agent = tirana.start();
    await settled(gateway, agent);
    const { database } = tirana.erp;
    database.exec(`INSERT INTO orders (number) VALUES ('P1'); UPDATE orders SET status = 'placed'`);
    await until('the order', async () => (await orderAt())?.['status'] === 'placed');
    const centre = await connectWire(gateway.url);
    await centre.hello();
    const patch = { collection: 'porosia', id: 'tirana/P1', op: 'patch' as const };
    await centre.push([{ ...patch, set: { status: 'confirmed' } }]);
    await until('the confirmation here', () => statusHere('P1') === 'confirmed');
    database.exec(`UPDATE orders SET status = 'shipped' WHERE number = 'P1'`);
    await until('the shipment', async () => (await orderAt())?.['status'] === 'shipped');
    await settled(gateway, agent);
    expect(statusHere('P1')).to.equal('shipped');
    centre.close();
  });

  it('an order made by the centre is a row here', async () => {
    const agent = tirana.start();
    await until('its own record', async () => (await recordsAt(gateway, 'settings')).size === 1);
    await settled(gateway, agent);
    const before = await headOf(gateway);
    const centre = await connectWire(gateway.url);
    await centre.hello();
    const data = { number: 'C7', status: 'placed' };
    await centre.push([{ collection: 'porosia', id: 'tirana/C7', op: 'put', partition: 'tirana', data }]);
    await settled(gateway, agent);
    expect(statusHere('C7')).to.equal('placed');
    expect(await headOf(gateway)).to.equal(before + 1);
    centre.close();
  });

  it('[P5] a refused step is in the inbox, does not block, and gives way to what the centre has', async () => {
    const agent = tirana.start();
    const { database } = tirana.erp;
    database.exec(`INSERT INTO orders (number, status) VALUES ('P1', 'delivered')`);
    await until('the order', async () => (await orderAt()) !== undefined);
    database.exec(`UPDATE orders SET status = 'draft'`);
    sellInvoice(tirana.erp, invoice('behind', [item('A')]));
    await until('the sale behind it', async () => (await recordsAt(gateway, 'fatura')).size === 1);
    await settled(gateway, agent);
    expect((await agent.status()).inbox).to.deep.equal({ gateway: 1, local: 0 });
    expect(statusHere('P1')).to.equal('delivered');
    expect(tirana.lines.filter((line) => line.event === 'batch_refused')).to.have.length(1);
    expect((await orderAt())?.['status']).to.equal('delivered');
  });

  it('[P3] steps made offline arrive in their order and are not undone by their own echo', async () => {
    const { database } = tirana.erp;
    const seen: string[] = [];
    tirana.start();
    await tirana.stop();
    database.exec(`INSERT INTO orders (number) VALUES ('P1')`);
    for (const status of ['placed', 'confirmed', 'shipped', 'delivered'])
      database.prepare('UPDATE orders SET status = ?').run(status);
    database.exec(`CREATE TABLE seen (status TEXT);
      CREATE TRIGGER watch AFTER UPDATE ON orders BEGIN INSERT INTO seen VALUES (NEW.status); END`);
    await settled(gateway, tirana.start());
    await until('the order', async () => (await orderAt())?.['status'] === 'delivered');
    for (const row of database.prepare('SELECT status FROM seen').all())
      seen.push((row as { status: string }).status);
    expect(seen).to.deep.equal([]);
    expect(statusHere('P1')).to.equal('delivered');
  });

  async function orderAt(): Promise<Record<string, unknown> | undefined> {
    return (await recordsAt(gateway, 'porosia')).get('tirana/P1')?.data;
  }

  function statusHere(number: string): unknown {
    const select = tirana.erp.database.prepare('SELECT status FROM orders WHERE number = ?');
    return (select.get(number) as { status?: unknown } | undefined)?.status;
  }
});
