import { expect } from 'chai';
import fc from 'fast-check';
import { countrySlug, planBranches } from '../../demo/retail/branches.ts';
import { compareFigures, createExpectation, type Figures } from '../../demo/retail/expected.ts';
import {
  createInvoiceCollector,
  invoiceRecordId,
  type BranchInvoices,
  type RetailInvoice,
} from '../../demo/retail/invoices.ts';
import type { RetailLine } from '../../demo/retail/read.ts';

const line = (given: Partial<RetailLine>): RetailLine => ({
  invoiceNo: '536365',
  sku: '22423',
  description: null,
  quantity: 1,
  at: '2010-12-01T10:00:00.000Z',
  unitPrice: '12.75',
  customerId: null,
  country: 'France',
  ...given,
});

const cents = fc.integer({ min: -50_000, max: 50_000 });
const anyLine = fc
  .record({
    invoiceNo: fc.constantFrom('1', '2', 'C3', 'A4', '5'),
    sku: fc.constantFrom('A', 'a', 'POST', 'BANK CHARGES'),
    quantity: fc.integer({ min: -1000, max: 1000 }),
    cents,
    country: fc.constantFrom('France', 'FRANCE', 'EIRE', 'Rest', '日本', '中国', 'Germany'),
  })
  .map(({ cents: price, ...rest }) => ({ price, ...line({ ...rest, unitPrice: (price / 100).toFixed(2) }) }));

describe('demo: invoices of a branch', () => {
  it('gathers the lines of one invoice though others come between, and dates it by its earliest line', () => {
    const [invoice, ...others] = invoicesOf([
      line({ at: '2010-12-01T16:58:00.000Z', description: 'X' }),
      line({ invoiceNo: '2', at: '2010-12-02T00:00:00.000Z' }),
      line({ at: '2010-12-01T16:57:00.000Z', customerId: '17850', sku: 'B', quantity: 2, unitPrice: '0.1' }),
    ]);
    expect(others).to.have.length(1);
    expect(invoice).to.include({ date: '2010-12-01T16:57:00.000Z', customer: '17850', total: '12.95' });
    expect(invoice?.lines).to.deep.equal([
      { sku: '22423', description: 'X', quantity: 1, unitPrice: '12.75' },
      { sku: 'B', quantity: 2, unitPrice: '0.1' },
    ]);
  });

  it('keeps repeated products and the case of stock codes', () => {
    const [invoice] = invoicesOf([line({ sku: 'm' }), line({ sku: 'M' }), line({ sku: 'm' })]);
    expect(invoice?.lines.map(({ sku }) => sku)).to.deep.equal(['m', 'M', 'm']);
    expect(invoice?.total).to.equal('38.25');
  });

  it('takes C… for credits and a bad debt for a sale of a negative amount', () => {
    const invoices = invoicesOf([
      line({ invoiceNo: 'C536379', quantity: -1 }),
      line({ invoiceNo: 'A563186', unitPrice: '-11062.06' }),
    ]);
    const seen = invoices.map(({ number, kind, total }) => [number, kind, total]);
    expect(seen).to.deep.equal([
      ['A563186', 'sale', '-11062.06'],
      ['C536379', 'credit', '-12.75'],
    ]);
  });

  it('makes two invoices of one number in two countries, in one branch as in two', () => {
    const lines = [line({}), line({ country: 'Germany' })];
    const apart = divide(lines, 2).flatMap(({ invoices }) => invoices);
    const together = divide(lines, 1).flatMap(({ invoices }) => invoices);
    expect(apart.map(invoiceRecordId)).to.have.members(['france/536365', 'germany/536365']);
    expect(together.map(invoiceRecordId)).to.have.members(['rest/536365', 'rest/536365~germany']);
  });

  it('gives the busiest countries a branch each and the rest one', () => {
    const counts = ['Spain', 'Eire', 'France', 'Italy'].map((name, index) => ({
      slug: countrySlug(name),
      name,
      lines: index === 1 ? 9 : 5,
    }));
    const plan = (count: number): string[][] => planBranches(counts, count).map(({ countries }) => countries);
    expect(plan(3)).to.deep.equal([['eire'], ['france'], ['italy', 'spain']]);
    expect(plan(4)).to.deep.equal([['eire'], ['france'], ['italy'], ['spain']]);
    expect(plan(1)).to.deep.equal([['eire', 'france', 'italy', 'spain']]);
    expect(() => plan(0)).to.throw(RangeError);
  });

  it('writes slugs that tell countries apart', () => {
    expect(['United Kingdom', ' U.S.A. ', 'Curaçao'].map(countrySlug)).to.deep.equal([
      'united-kingdom',
      'u-s-a',
      'curacao',
    ]);
    expect(countrySlug('日本'))
      .to.match(/^country-[0-9a-f]{8}$/)
      .and.not.equal(countrySlug('中国'));
    expect(countrySlug('x'.repeat(60))).to.have.length(50);
  });

  it('property: every line lands in exactly one invoice, record ids are unique, branches at most as many', () => {
    fc.assert(
      fc.property(fc.array(anyLine), fc.integer({ min: 1, max: 7 }), (lines, count) => {
        const divided = divide(lines, count);
        const invoices = divided.flatMap((each) => each.invoices);
        const ids = invoices.map(invoiceRecordId);
        expect(divided.length).to.be.at.most(count);
        expect(new Set(ids).size).to.equal(ids.length);
        expect(invoices.flatMap((invoice) => invoice.lines)).to.have.length(lines.length);
        expect(new Set(divided.map(({ branch }) => branch.slug)).size).to.equal(divided.length);
      }),
    );
  });

  it('property: totals are exact, counted in pennies', () => {
    fc.assert(
      fc.property(fc.array(anyLine), fc.integer({ min: 1, max: 7 }), (lines, count) => {
        const invoices = divide(lines, count).flatMap((each) => each.invoices);
        const pennies = lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0) + 0;
        expect(invoices.reduce((sum, { total }) => sum + Math.round(Number(total) * 100), 0)).to.equal(
          pennies,
        );
        expect(invoices.every(({ total }) => /^-?\d+\.\d\d$/.test(total))).to.equal(true);
      }),
    );
  });

  it('property: figures from the rows equal figures from the invoices, for every branch', () => {
    fc.assert(
      fc.property(fc.array(anyLine), fc.integer({ min: 1, max: 7 }), (lines, count) => {
        const expectation = createExpectation();
        lines.forEach((each) => expectation.add(each));
        for (const { branch, invoices } of divide(lines, count))
          expect(compareFigures(expectation.figures(branch), figuresOf(invoices))).to.deep.equal([]);
      }),
    );
  });
});

function divide(lines: RetailLine[], count: number): BranchInvoices[] {
  const collector = createInvoiceCollector();
  lines.forEach((each) => collector.add(each));
  return collector.divide(count);
}

function invoicesOf(lines: RetailLine[]): RetailInvoice[] {
  return divide(lines, 1).flatMap(({ invoices }) => invoices);
}

function figuresOf(invoices: RetailInvoice[]): Figures {
  const items = invoices.flatMap(({ lines }) => lines);
  const stock = new Map<string, number>();
  for (const { sku, quantity } of items) stock.set(sku, (stock.get(sku) ?? 0) - quantity);
  const pennies = (values: number[]): string =>
    (values.reduce((a, b) => a + Math.round(b * 100), 0) / 100).toFixed(2);
  return {
    invoices: invoices.length,
    credits: invoices.filter(({ kind }) => kind === 'credit').length,
    lines: items.length,
    total: pennies(invoices.map(({ total }) => Number(total))),
    lineTotal: pennies(items.map(({ quantity, unitPrice }) => quantity * Number(unitPrice))),
    stock,
    orders: new Map(),
  };
}
