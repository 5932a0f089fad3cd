import { DatabaseSync } from '@photostructure/sqlite';
import { expect } from 'chai';
import { createBackfill } from '../../agent/backfill.ts';
import { createDownTargets } from '../../agent/down.ts';
import type { Drain } from '../../agent/drain.ts';
import { drainOnce } from '../../agent/drain.ts';
import { createLedger } from '../../agent/ledger.ts';
import { createLog } from '../../agent/log.ts';
import { createResender } from '../../agent/resend.ts';
import { prepareDatabase } from '../../agent/session.ts';
import { createFileStore } from '../../sdk/file-store.ts';
import type { Chance } from '../support/fault-seed.ts';
import { createChance } from '../support/fault-seed.ts';
import { createShop } from './shop.ts';
import { SimulatedCentre } from './simulated-centre.ts';
import { exampleMapping } from './support.ts';

/** An ERP whose tables have no rules, an agent without its network, and the books of both. */
class OfflineBranch {
  readonly erp = new DatabaseSync(':memory:');
  readonly centre = new SimulatedCentre();
  #drain: Drain | undefined;

  constructor() {
    this.erp.exec(`CREATE TABLE invoices (id INTEGER PRIMARY KEY, number, issued_at, kind, total, customer);
      CREATE TABLE invoice_lines (invoice_id, line_no, sku, quantity, unit_price, description, PRIMARY KEY (invoice_id, line_no));
      CREATE TABLE stock_movements (id INTEGER PRIMARY KEY, invoice_id, sku, quantity);
      CREATE TABLE products (sku TEXT PRIMARY KEY, name, unit_price);
      CREATE TABLE orders (id INTEGER PRIMARY KEY, number, status);
      INSERT INTO products VALUES ('A', 'a', '1.00'), ('B', 'b', '1.00')`);
  }

  install(): void {
    const config = { mapping: exampleMapping(), partition: 'b', database: ':memory:', backfill: true };
    const log = createLog({ write: () => true }, { json: true });
    prepareDatabase({ config: config as never, log }, this.erp);
    createLedger(this.erp).setMeta('claim', 'ours');
  }

  /** As after a start: everything that is only in memory is forgotten. */
  async start(): Promise<void> {
    const { erp: database } = this;
    const ledger = createLedger(database);
    const base = { database, ledger, mapping: exampleMapping(), partition: 'b', now: () => new Date() };
    const resender = createResender(base);
    const targets = createDownTargets({ ...base, resender });
    const store = createFileStore({ database, ...targets.hooks });
    await store.open();
    const backfill = createBackfill(database, base.mapping, ledger);
    this.#drain = { ...base, store, backfill, targets, resender };
  }

  step(): boolean {
    return drainOnce(this.#drain!).more;
  }

  /** Sends up to so many batches; `lost`: the connection ends before the verdict of the last one is there. */
  async send(most: number, lost = false): Promise<number> {
    const { store } = this.#drain!;
    const batches = await store.outbox({ after: 0, limit: most });
    const verdicts = batches.map((batch) => this.centre.push(batch));
    await store.settle(lost ? verdicts.slice(0, -1) : verdicts);
    return batches.length;
  }

  async finish(): Promise<void> {
    for (let round = 0; round < 500; round += 1) {
      const more = this.step();
      const sent = await this.send(100);
      if (!more && sent === 0 && this.#drain!.backfill.state() === undefined) return;
    }
    throw new Error('it does not come to an end');
  }

  /** Stock by product, as the ERP and as the centre have it. */
  stock(): { erp: Record<string, number>; centre: Record<string, number> } {
    const rows = this.erp
      .prepare('SELECT sku, sum(quantity) AS q FROM stock_movements GROUP BY sku ORDER BY sku')
      .all();
    const erp = {
      A: 0,
      B: 0,
      ...Object.fromEntries((rows as { sku: string; q: number }[]).map(({ sku, q }) => [sku, q])),
    };
    const of = (sku: string): number =>
      (this.centre.records.get(`stoku/b/${sku}`)?.['quantity'] as number | undefined) ?? 0;
    return { erp, centre: { A: of('A'), B: of('B') } };
  }

  /** Invoices of the ERP whose number or total the centre does not have. */
  missing(): string[] {
    const rows = this.erp.prepare('SELECT number, total FROM invoices').all() as {
      number: string;
      total: string;
    }[];
    return rows
      .filter(({ number, total }) => this.centre.records.get(`fatura/b/${number}`)?.['total'] !== total)
      .map(({ number }) => number);
  }

  close(): void {
    this.erp.close();
  }
}

const OLDER = `INSERT INTO invoices VALUES (7, 'OLD', 'd', 'sale', '1.00', NULL);
  INSERT INTO stock_movements VALUES (1, NULL, 'A', 100), (2, NULL, 'B', 50), (3, 7, 'A', -3)`;

const CHANGES: Record<string, string[]> = {
  'a movement is changed': ['UPDATE stock_movements SET quantity = 101 WHERE id = 1'],
  'a movement is deleted': ['DELETE FROM stock_movements WHERE id = 1'],
  'a movement is deleted and put in again': [
    `DELETE FROM stock_movements WHERE id = 1; INSERT INTO stock_movements VALUES (1, NULL, 'A', 101)`,
  ],
  'a movement is deleted, and later put in again': [
    'DELETE FROM stock_movements WHERE id = 1',
    `INSERT INTO stock_movements VALUES (1, NULL, 'A', 101)`,
  ],
  'the key of a movement is changed': ['UPDATE stock_movements SET id = 500 WHERE id = 1'],
  'the key of a movement comes before what was gone through': [
    'UPDATE stock_movements SET id = -5 WHERE id = 2',
  ],
  'two movements change keys': [
    'UPDATE stock_movements SET id = 900 WHERE id = 1; UPDATE stock_movements SET id = 1 WHERE id = 2; UPDATE stock_movements SET id = 2 WHERE id = 900',
  ],
  'a movement goes to another product': [`UPDATE stock_movements SET sku = 'B' WHERE id = 1`],
  'a movement is put under a new invoice': [
    `INSERT INTO invoices VALUES (50, 'N-1', 'd', 'sale', '1.00', NULL); UPDATE stock_movements SET invoice_id = 50 WHERE id = 1`,
  ],
  'a movement is put under an older invoice': ['UPDATE stock_movements SET invoice_id = 7 WHERE id = 1'],
  'a movement of an older invoice loses its head': [
    'UPDATE stock_movements SET invoice_id = NULL WHERE id = 3',
  ],
  'a movement of an older invoice is put in again': [
    `DELETE FROM stock_movements WHERE id = 3; INSERT INTO stock_movements VALUES (3, 7, 'A', -4)`,
  ],
  'an older invoice is put in again': [
    `DELETE FROM invoices WHERE id = 7; INSERT INTO invoices VALUES (7, 'OLD', 'd', 'sale', '1.00', 'x')`,
  ],
  'an older invoice is deleted, and later put in again': [
    'DELETE FROM invoices WHERE id = 7',
    `INSERT INTO invoices VALUES (7, 'OLD', 'd', 'sale', '1.00', 'x')`,
  ],
  'an older invoice is deleted, its key is used again': [
    `DELETE FROM stock_movements WHERE invoice_id = 7; DELETE FROM invoices WHERE id = 7;
     INSERT INTO invoices VALUES (7, 'OTHER', 'd', 'sale', '1.00', 'x'); INSERT INTO stock_movements VALUES (9, 7, 'A', -1)`,
  ],
  'the key of an older invoice is changed': [
    'UPDATE invoices SET id = 60 WHERE id = 7; UPDATE stock_movements SET invoice_id = 60 WHERE invoice_id = 7',
  ],
  'a movement comes before its invoice': [
    `INSERT INTO stock_movements VALUES (9, 50, 'A', -2)`,
    `INSERT INTO invoices VALUES (50, 'N-1', 'd', 'sale', '1.00', NULL)`,
    'UPDATE stock_movements SET quantity = -1 WHERE id = 9',
  ],
};

describe('agent: rows that change while the older ones are gone through', () => {
  for (const [name, transactions] of Object.entries(CHANGES))
    for (const when of ['before', 'between', 'after'] as const)
      it(`[P2] ${name} (${when})`, async () => {
        const branch = new OfflineBranch();
        branch.erp.exec(OLDER);
        branch.install();
        await branch.start();
        if (when === 'after') await branch.finish();
        for (const sql of transactions) {
          branch.erp.exec(`BEGIN; ${sql}; COMMIT`);
          if (when === 'between') branch.step();
          if (when === 'after') await branch.finish();
        }
        await branch.finish();
        const { erp, centre } = branch.stock();
        expect(centre).to.deep.equal(erp);
        expect(branch.missing()).to.deep.equal([]);
        branch.close();
      });

  it('[P2] whatever is changed before, during and after it, through kills, the books are the same', async function () {
    this.timeout(120_000);
    const chance = createChance('older rows');
    for (let round = 0; round < ROUNDS; round += 1) await runAtRandom(chance, round);
  });
});

const ROUNDS = 30;

async function runAtRandom(chance: Chance, round: number): Promise<void> {
  const branch = new OfflineBranch();
  const dice = (below: number): number => chance.between(0, below);
  const shop = createShop(branch.erp, dice);
  const done: string[] = [];
  const change = (times: number): void => {
    for (let at = 0; at < times; at += 1) done.push(shop.change());
  };
  change(dice(140));
  branch.install();
  shop.opened();
  change(dice(6));
  await branch.start();
  for (let at = 0; at < 60; at += 1) {
    if (dice(2) === 0) change(1 + dice(3));
    if (dice(3) > 0) branch.step();
    if (dice(3) > 0) await branch.send(dice(30), dice(4) === 0);
    // Killed: the outbox and what was captured are in the file.
    if (dice(12) === 0) await branch.start();
  }
  await branch.finish();
  change(20);
  await branch.finish();
  done.push(shop.correct());
  await branch.finish();
  const { erp, centre } = branch.stock();
  const log = `seed ${chance.seed}, round ${round}:\n${done.join('\n')}`;
  expect(centre, log).to.deep.equal(erp);
  expect(branch.missing(), log).to.deep.equal([]);
  branch.close();
}
