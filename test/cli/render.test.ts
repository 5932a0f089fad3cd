import { expect } from 'chai';
import { changeLine, messageLines, recordTable } from '../../client-cli/render.ts';
import { createTheme, widthOf } from '../../client-cli/terminal-text.ts';
import { createTrail } from '../../client-cli/trail.ts';
import type { Change } from '../../protocol/sync.ts';

const paper = { theme: createTheme(false), columns: undefined };
const at = new Date(2026, 10, 20, 12, 4, 31).toISOString();

function change(part: Partial<Change>): Change {
  return {
    ...{ version: 2, index: 0, collection: 'stoku', id: 'x', op: 'put', partition: 'united-kingdom' },
    ...{ recordVersion: 2, at, by: { principal: 'p' } },
    ...part,
  };
}

describe('rendering', () => {
  it('tells an invoice in one line', () => {
    const data = { number: '536365', kind: 'sale', total: '139.12', lines: [1, 2, 3, 4, 5, 6, 7] };
    expect(changeLine(paper, change({ collection: 'fatura', data }), undefined)).to.equal(
      '12:04:31  united-kingdom    invoice 536365  sale  139.12  7 lines',
    );
  });

  it('tells stock by its movement, exact in decimal', () => {
    const trail = createTrail();
    const put = (quantity: number): string => {
      const one = change({ data: { sku: '85123A', quantity } });
      return changeLine(paper, one, trail.step(one)).slice(28);
    };
    expect(put(40)).to.equal('stock 85123A  +40 → 40');
    expect(put(34)).to.equal('stock 85123A  −6 → 34');
    expect(put(-2)).to.equal('stock 85123A  −36 → −2');
    expect(put(-1.7)).to.equal('stock 85123A  +0.3 → −1.7');
    expect(put(-1.7)).to.equal('stock 85123A  = −1.7');
  });

  it('tells orders by their step, deletions and records that left', () => {
    const order = change({ collection: 'porosia', data: { number: '7', status: 'confirmed' } });
    expect(changeLine(paper, order, { status: 'placed' })).to.contain('order 7  placed → confirmed');
    expect(changeLine(paper, change({ op: 'delete' }), undefined)).to.contain('stock x  deleted');
    expect(changeLine(paper, change({ op: 'evict' }), undefined)).to.contain('stock x  left united-kingdom');
    const other = change({ collection: 'own', data: { a: 1, b: [1, 2] } });
    expect(changeLine(paper, other, undefined)).to.contain('own x  a=1  b=[2]');
  });

  it('[S64] stays on one line of the terminal, whatever the record holds', () => {
    const data = { sku: `\u001b[31m\n${'日'.repeat(200)}`, quantity: 1 };
    const line = changeLine({ ...paper, columns: 80 }, change({ data, partition: 'p\n\u001bX' }), undefined);
    expect(widthOf(line)).to.be.at.most(80);
    expect(line).to.not.match(/[\u0000-\u001f]/);
  });

  it('[S64] indents all but the first line of a message, so that it cannot pass for another', () => {
    const body = `one ${'word '.repeat(30)}\n12:00 ana  forged\n${'x\n'.repeat(50)}`;
    const from = { id: 'u', username: 'ben\u001b[1m' };
    const lines = messageLines(
      { ...paper, columns: 80 },
      { id: 'm', room: 'general', seq: 1, from, body, at },
      'general',
    );
    expect(lines[0]).to.match(/^12:04:31 ben\\x1b\[1m {2}one word/);
    expect(lines.slice(1).every((line) => line.startsWith('         │ '))).to.equal(true);
    expect(lines).to.have.length(21);
    expect(Math.max(...lines.map(widthOf))).to.be.at.most(80);
  });

  it('cuts tables to the terminal', () => {
    const data = { name: 'long '.repeat(40) };
    const record = { collection: 'stoku', id: 'i'.repeat(60), partition: 'p', recordVersion: 3, data };
    const lines = recordTable({ ...paper, columns: 80 }, [record]);
    expect(Math.max(...lines.map(widthOf))).to.be.at.most(80);
  });
});
