import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { CapturedRow } from '../../agent/ledger.ts';
import type { Row } from '../../agent/literal.ts';
import { parseLiterals, parseRow } from '../../agent/literal.ts';
import { mapping } from '../../agent/mapping.ts';
import type { Plan } from '../../agent/plan.ts';
import { planUnits } from '../../agent/planner.ts';
import { groupUnits } from '../../agent/units.ts';

const text = readFileSync(new URL('../../agent/example-config.json', import.meta.url), 'utf8');
const example = mapping.parse((JSON.parse(text) as { mapping: unknown }).mapping);

describe('agent: from captured rows to batches', () => {
  it('[P4] a product twice on an invoice is one increment of the sum, and lines keep their order', () => {
    const { batches, creates } = plan([
      head(1),
      line(1, 2, 'B'),
      line(1, 1, 'A'),
      ...[move(1, 'A', -2), move(1, 'A', -3)],
    ]);
    expect(creates.map(({ id }) => id)).to.deep.equal(['b/A']);
    const [sale, stock] = batches[0]!.mutations;
    expect((sale!.data!['lines'] as { sku: string }[]).map(({ sku }) => sku)).to.deep.equal(['A', 'B']);
    expect(stock).to.deep.include({ id: 'b/A', op: 'patch', increment: { quantity: -5 } });
  });

  it('an invoice made and deleted again is nothing', () => {
    const gone: CapturedRow = { ...head(1), op: 'D', old: head(1).new, new: undefined };
    const nothing = { batches: [], creates: [], refusals: [], anew: [], settled: [] };
    expect(plan([head(1), gone])).to.deep.equal(nothing);
  });

  it('interleaved invoices are two batches, in the order they began', () => {
    const { batches } = plan([head(1), head(2), line(2, 1, 'A'), line(1, 1, 'B')]);
    expect(batches.map(({ mutations }) => mutations[0]!.id)).to.deep.equal(['b/N1', 'b/N2']);
  });

  it('[P2] the same capture gives the same batchId, another one another', () => {
    const ids = [head(1), head(1), { ...head(1), token: 'ff' }].map((row) => plan([row]).batches[0]!.batchId);
    expect(ids[0]).to.equal(ids[1]).and.not.equal(ids[2]);
  });

  it('[P5] a row that cannot be mapped is refused by itself', () => {
    const { batches, refusals } = plan([head(1), move(1, 'A', 'many'), head(2)]);
    expect(refusals).to.have.length(1);
    expect(batches.map(({ key }) => key)).to.deep.equal(['b/N2']);
    expect(refusals[0]).to.include({ key: 'b/N1' });
  });

  it('any value survives the way through quote()', () => {
    expect(parseLiterals(`NULL,-1.5,'it''s, so',X'00FF',9007199254740993,''`)).to.deep.equal([
      null,
      -1.5,
      `it's, so`,
      Uint8Array.of(0, 255),
      '9007199254740993',
      '',
    ]);
    expect(() => parseRow(['a'], '1,2')).to.throw(/2 values for 1/);
  });
});

function plan(rows: readonly CapturedRow[]): Plan {
  const known = new Set<string>();
  const seen = new Set<string>();
  return planUnits(groupUnits(example, rows), {
    partition: 'b',
    backfilling: false,
    adopting: false,
    findOpenAct: () => undefined,
    refusedFields: () => undefined,
    readAct: () => [],
    isKnown: (collection, id) => known.has(`${collection}/${id}`),
    findData: () => undefined,
    remember: (collection, id) => void known.add(`${collection}/${id}`),
    isSeen: (act, key) => seen.has(`${act}/${key}`),
    see: (act, key) => void seen.add(`${act}/${key}`),
    unsee: (act, key) => void seen.delete(`${act}/${key}`),
    lookup: () => undefined,
  });
}

let count = 0;

function captured(table: string, row: Row): CapturedRow {
  count += 1;
  return {
    n: count,
    token: table === 'invoices' ? String(row['id']) : 'aa',
    table,
    op: 'I',
    old: undefined,
    new: row,
  };
}

function head(id: number): CapturedRow {
  const row = { id, number: `N${id}`, issued_at: '2010-12-01', kind: 'sale', total: '1.00', customer: null };
  return captured('invoices', row);
}

function line(invoice: number, place: number, sku: string): CapturedRow {
  const row = {
    invoice_id: invoice,
    line_no: place,
    sku,
    quantity: 1,
    unit_price: '1.00',
    description: null,
  };
  return captured('invoice_lines', row);
}

function move(invoice: number, sku: string, quantity: number | string): CapturedRow {
  count += 1;
  return captured('stock_movements', { id: count, invoice_id: invoice, sku, quantity });
}
