import { DatabaseSync } from '@photostructure/sqlite';
import { expect } from 'chai';
import { toNumber, toWire } from '../../agent/convert.ts';
import { literalsOf, parseLiterals } from '../../agent/literal.ts';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, invoice, item, recordsAt, settled } from './support.ts';

describe('agent: values that no record can have', () => {
  it('text with a NUL comes whole out of the triggers, and is refused', () => {
    const database = new DatabaseSync(':memory:');
    const select = `SELECT ${literalsOf('NEW', ['a', 'b', 'c', 'd'])} AS row
      FROM (SELECT 'a' || char(0) || 'ë''b' AS a, 'a''b' AS b, x'0041' AS c, NULL AS d) AS NEW`;
    const { row } = database.prepare(select).get() as { row: string };
    database.close();
    const [text, ...others] = parseLiterals(row);
    expect([text, others]).to.deep.equal([`a\0ë'b`, [`a'b`, Uint8Array.of(0, 0x41), null]]);
    expect(() => toWire(text!, { column: 'customer' })).to.throw(/customer holds text with a NUL/);
  });

  it('a number that is not finite is refused, with and without a conversion', () => {
    for (const value of [Infinity, -Infinity, NaN])
      for (const as of [undefined, 'text', 'number', 'cents'] as const)
        expect(() => toWire(value, { column: 'c', as }), `${value} ${as}`).to.throw(/not finite/);
  });

  it('a number is taken only when all of its digits are', () => {
    const kept = ['12.50', ' 7 ', '.5', '0.1', '1e300', '1234567890123450000'];
    expect(kept.map((text) => toNumber(text, 'c'))).to.deep.equal([
      12.5, 7, 0.5, 0.1, 1e300, 1234567890123450000,
    ]);
    for (const text of [
      '9223372036854775807',
      '9007199254740993',
      '9007199254740993.0',
      '0.12345678901234567891',
    ])
      expect(() => toNumber(text, 'c'), text).to.throw(/more digits than a number can hold/);
  });

  describe('in a running branch', () => {
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

    const head = (id: number): string =>
      `INSERT INTO invoices VALUES (${id}, 'W', '2010-12-01', 'sale', NULL, '1.00')`;
    const move = (id: number | null, quantity: string): string =>
      `INSERT INTO stock_movements (invoice_id, sku, quantity, moved_at) VALUES (${id}, 'A', ${quantity}, '2010-12-01')`;
    const odd: Record<string, string> = {
      'Infinity in a line': `${head(7)}; INSERT INTO invoice_lines VALUES (7, 1, 'A', NULL, 9e999, '1.00')`,
      'a sum that no number holds': [head(7), ...Array<string>(3).fill(move(7, '1e308'))].join(';'),
      'NUL in a text': `${head(7)}; UPDATE invoices SET customer = 'a' || char(0) || 'b'`,
      'an integer that no number holds': move(null, '9223372036854775807'),
    };
    for (const [name, sql] of Object.entries(odd))
      it(`[P5] ${name} is refused by itself, visibly, and sales go on`, async () => {
        const agent = branch.start();
        await settled(gateway, agent);
        branch.erp.database.exec(`BEGIN; ${sql}; COMMIT`);
        sellInvoice(branch.erp, invoice('next', [item('A', 2)]));
        await until('the next sale', async () => (await recordsAt(gateway, 'fatura')).has('tirana/next'));
        await settled(gateway, agent);
        expect((await agent.status()).inbox).to.deep.equal({ gateway: 0, local: 1 });
        expect((await recordsAt(gateway, 'fatura')).size).to.equal(1);
        expect((await recordsAt(gateway, 'stoku')).get('tirana/A')?.data['quantity']).to.equal(-2);
      });
  });
});
