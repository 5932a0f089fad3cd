import { expect } from 'chai';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChaos } from '../../demo/chaos.ts';
import { createRandom } from '../../demo/random.ts';
import { createErp } from '../../demo/retail/erp.ts';
import { compareFigures, findStockFaults, readErpFigures } from '../../demo/retail/expected.ts';
import { loadRetail, openShop } from '../../demo/retail/load.ts';
import type { LoadedBranch } from '../../demo/retail/load.ts';
import { stockUp } from '../../demo/retail/opening.ts';
import { planOrders, stateOfOrders } from '../../demo/retail/orders.ts';
import { sellInvoices } from '../../demo/retail/seller.ts';

const SAMPLE = 'samples/online-retail-sample.csv.gz';
const COURSE = ['draft', 'placed', 'confirmed', 'shipped', 'delivered'];

describe('demo: a shop', () => {
  let folder: string;
  let branches: LoadedBranch[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-shop-'));
    ({ branches } = await loadRetail({ files: [SAMPLE], branches: 4 }));
  });

  after(() => rm(folder, { recursive: true }));

  it('never has less than nothing of anything in stock, whatever the seed', () => {
    for (const seed of [1, 2, 3]) {
      for (const { invoices, opening } of branches.map((branch) => openShop(branch, seed))) {
        const stock = new Map(opening.map(({ sku, quantity }) => [sku, quantity]));
        expect(Math.min(...stock.values())).to.be.at.least(0);
        for (const { sku, quantity } of invoices.flatMap(({ lines }) => lines)) {
          stock.set(sku, (stock.get(sku) ?? NaN) - quantity);
          expect(stock.get(sku), sku).to.be.at.least(0);
        }
      }
    }
  });

  it('opens and orders the same with the same seed', () => {
    const [branch] = branches;
    expect(openShop(branch!, 9)).to.deep.equal(openShop(branch!, 9));
    expect(openShop(branch!, 9).opening).to.not.deep.equal(openShop(branch!, 10).opening);
  });

  it('moves each order step by step, and leaves orders in several states', () => {
    const steps = planOrders(400, 5);
    const states = new Map<string, string>();
    for (const { number, from, to } of steps) {
      expect(states.get(number)).to.equal(from);
      const isNext = COURSE.indexOf(to) === COURSE.indexOf(from ?? '') + 1;
      expect(isNext || (to === 'cancelled' && from !== 'delivered'), `${from} ${to}`).to.equal(true);
      states.set(number, to);
    }
    expect(states).to.deep.equal(stateOfOrders(steps));
    expect(new Set(states.values())).to.include('delivered').and.include('cancelled');
    expect(new Set(states.values()).size).to.be.at.least(4);
    expect(planOrders(1, 5)).to.have.length.above(0);
  });

  it('reaches its figures in stock and orders, also when it is stopped and started again', async () => {
    const shop = openShop(
      branches.find(({ branch }) => branch.slug === 'rest')!,
      4,
    );
    const erp = createErp(join(folder, 'rest.db'));
    stockUp(erp, shop.opening, '2010-11-30T00:00:00.000Z');
    const { invoices, orders } = shop;
    for (const until of [3, 4, 11, invoices.length]) {
      const stop = new AbortController();
      const onProgress = ({ sold }: { sold: number }): void => {
        if (sold >= until) stop.abort();
      };
      await sellInvoices({ erp, invoices, orders, perSecond: 0, seed: 1, onProgress, signal: stop.signal });
    }
    expect(compareFigures(shop.expected, readErpFigures(erp.database))).to.deep.equal([]);
    expect(findStockFaults(erp.database)).to.deep.equal([]);
    erp.database.exec("UPDATE orders SET status = 'lost' WHERE number = 'P-0001'");
    expect(compareFigures(shop.expected, readErpFigures(erp.database))).to.deep.include({
      figure: 'order P-0001',
      expected: shop.expected.orders.get('P-0001'),
      actual: 'lost',
    });
    erp.close();
  });

  it('sells its last invoice only when it may end', async () => {
    const { invoices } = branches.find(({ branch }) => branch.slug === 'eire')!;
    const erp = createErp(join(folder, 'eire.db'));
    let asked = 0;
    const mayEnd = (): boolean => {
      expect(readErpFigures(erp.database).invoices).to.equal(invoices.length - 1);
      return (asked += 1) > 3;
    };
    expect(await sellInvoices({ erp, invoices, perSecond: 0, seed: 1, mayEnd })).to.include({ left: 0 });
    expect(asked).to.equal(4);
    erp.close();
  });
});

describe('demo: chaos', () => {
  it('says when each kind has happened; what could not happen is tried again', async () => {
    let ready = 0;
    const happened: string[] = [];
    const chaos = startChaos(
      [
        { name: 'a', run: () => Promise.resolve(true) },
        { name: 'b', run: () => Promise.resolve((ready += 1) > 2) },
      ],
      quick(3),
      (name) => void happened.push(name),
    );
    await chaos.everyKind;
    await chaos.stop();
    expect(chaos.counts['a']).to.be.at.least(1);
    expect(chaos.counts['b'])
      .to.equal(happened.filter((name) => name === 'b').length)
      .and.at.least(1);
    expect(ready).to.be.above(2);
  }).timeout(20_000);

  it('tells the fault of one that failed', async () => {
    const run = (): Promise<boolean> => Promise.reject(new Error('it would not die'));
    const chaos = startChaos([{ name: 'a', run }], quick(1), () => undefined);
    const fault = await chaos.everyKind.catch((error: unknown) => String(error));
    expect(fault).to.contain('it would not die');
    await chaos.stop().catch(() => undefined);
  });
});

/** Seeded, and small: the pauses are short. */
function quick(seed: number): () => number {
  const random = createRandom(seed);
  return () => random() * 0.05;
}
