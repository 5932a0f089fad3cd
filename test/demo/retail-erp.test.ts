import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createErp, nextUnsold, sellInvoice, type Erp } from '../../demo/retail/erp.ts';
import { compareFigures, findStockFaults, readErpFigures, type Figures } from '../../demo/retail/expected.ts';
import { loadRetail, type LoadedBranch } from '../../demo/retail/load.ts';
import { sellInvoices } from '../../demo/retail/seller.ts';
import { formatDifferences, formatFigures } from '../../demo/retail/table.ts';

const SAMPLE = 'samples/online-retail-sample.csv.gz';

/**
 * Counted once with Python's csv and decimal modules, which share nothing with this program: branch, invoices, credits,
 * lines, total, stock codes, SHA-256 of `sku=quantity` lines sorted by sku.
 */
const COUNTED = [
  'united-kingdom 392 33 7054 140654.52 1841 facbf444216dffc6d173d4d4fc428a283ee9df795f68c218f381a02ca24c1fc4',
  'eire 7 1 109 3147.23 107 b50f353655be3a09cb55a5fbaf8ef9aa232cce6a882a71081145fc9a1cf73536',
  'norway 1 0 73 1919.14 73 e71b6fd6725369cd68bd79ed6fbf66b0e498262f2ed47533cc5795e38f2fa94b',
  'rest 18 2 183 4742.41 143 8d367caacad85ad9f3d477163b838042f887f7d650229af3e0e4d67af64da341',
];

describe('demo: the books of a branch', () => {
  let folder: string;
  let branches: LoadedBranch[];
  const opened: Erp[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-erp-'));
    ({ branches } = await loadRetail({ files: [SAMPLE], branches: 4 }));
  });

  afterEach(() => {
    for (const erp of opened.splice(0)) erp.close();
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  function open(name: string): Erp {
    const erp = createErp(join(folder, `${name}.db`));
    opened.push(erp);
    return erp;
  }

  function requireBranch(slug: string): LoadedBranch {
    const found = branches.find(({ branch }) => branch.slug === slug);
    if (!found) throw new Error(`no branch ${slug}`);
    return found;
  }

  it('the figures from the rows of the sample are those counted independently', () => {
    expect(branches.map(({ branch, expected }) => describeFigures(branch.slug, expected))).to.deep.equal(
      COUNTED,
    );
  });

  it('every branch sells the sample and its books agree to the unit and the penny', async () => {
    for (const { branch, invoices, expected } of branches) {
      const erp = open(branch.slug);
      const result = await sellInvoices({ erp, invoices, perSecond: 0, seed: 1 });
      expect(result).to.deep.equal({ sold: invoices.length, soldBefore: 0, left: 0 });
      expect(compareFigures(expected, readErpFigures(erp.database))).to.deep.equal([]);
      expect(findStockFaults(erp.database)).to.deep.equal([]);
    }
  });

  it('selling an invoice again changes nothing', () => {
    const erp = open('again');
    const [invoice] = requireBranch('norway').invoices;
    expect([sellInvoice(erp, invoice!), sellInvoice(erp, invoice!)]).to.deep.equal([true, false]);
    expect(compareFigures(requireBranch('norway').expected, readErpFigures(erp.database))).to.deep.equal([]);
  });

  it('an invoice that cannot be written leaves no trace', () => {
    const erp = open('half');
    const [invoice] = requireBranch('norway').invoices;
    const bad = {
      ...invoice!,
      lines: [...invoice!.lines, { sku: 'X', quantity: 1, unitPrice: null as never }],
    };
    expect(() => sellInvoice(erp, bad)).to.throw();
    expect(readErpFigures(erp.database)).to.include({ invoices: 0, lines: 0, total: '0.00' });
    expect(sellInvoice(erp, invoice!)).to.equal(true);
  });

  it('names products by their first priced line, not by the remark of an adjustment', () => {
    const erp = open('names');
    const [invoice] = requireBranch('norway').invoices;
    const item = { sku: 'P', quantity: 1 };
    sellInvoice(erp, { ...invoice!, number: '1', lines: [{ ...item, unitPrice: '0.0', description: '?' }] });
    sellInvoice(erp, {
      ...invoice!,
      number: '2',
      lines: [{ ...item, unitPrice: '2.1', description: 'LAMP' }],
    });
    sellInvoice(erp, {
      ...invoice!,
      number: '3',
      lines: [{ ...item, unitPrice: '9.9', description: 'OTHER' }],
    });
    const products = erp.database.prepare('SELECT * FROM products').all();
    expect(products).to.deep.equal([{ sku: 'P', name: 'LAMP', unit_price: '2.1' }]);
  });

  it('[P1] writes durably: WAL with synchronous FULL', () => {
    const { database } = open('pragmas');
    expect(database.prepare('PRAGMA journal_mode').get()).to.include({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA synchronous').get()).to.include({ synchronous: 2 });
  });

  it('stops between two invoices when told to, and goes on where it stopped', async () => {
    const { invoices, expected } = requireBranch('rest');
    const erp = open('stopped');
    const stop = new AbortController();
    const onProgress = ({ sold }: { sold: number }): void => (sold === 5 ? stop.abort() : undefined);
    const options = { erp, invoices, perSecond: 500, seed: 7 };
    const first = await sellInvoices({ ...options, onProgress, signal: stop.signal });
    expect(first).to.deep.equal({ sold: 5, soldBefore: 0, left: 13 });
    expect(nextUnsold(erp, invoices)).to.equal(5);
    expect(await sellInvoices(options)).to.deep.equal({ sold: 13, soldBefore: 5, left: 0 });
    expect(compareFigures(expected, readErpFigures(erp.database))).to.deep.equal([]);
  });

  it('[P2] a till killed with SIGKILL while it sells, again and again, ends with the same books', async function () {
    this.timeout(60_000);
    const path = join(folder, 'killed.db');
    for (const killAfter of [3, 40, 90]) expect(await runTill(path, killAfter)).to.equal('SIGKILL');
    expect(await runTill(path)).to.equal(0);
    const { branches: whole } = await loadRetail({ files: [SAMPLE], branches: 1 });
    const { database } = open('killed');
    expect(compareFigures(whole[0]!.expected, readErpFigures(database))).to.deep.equal([]);
    expect(findStockFaults(database)).to.deep.equal([]);
  });

  it('a unit, a penny, an invoice or a stock code too few is a difference', async () => {
    const { invoices, expected } = requireBranch('eire');
    const erp = open('wrong');
    await sellInvoices({ erp, invoices, perSecond: 0, seed: 1 });
    const [more, gone] = [...expected.stock.keys()].sort();
    erp.database.exec(`UPDATE stock SET quantity = quantity + 1 WHERE sku = '${more!}';
      DELETE FROM stock WHERE sku = '${gone!}';
      UPDATE invoices SET total = '0.01' WHERE kind = 'credit';`);
    const figures = compareFigures(expected, readErpFigures(erp.database)).map(({ figure }) => figure);
    expect(figures).to.deep.equal(['total', `stock ${more!}`, `stock ${gone!}`]);
    expect(findStockFaults(erp.database)).to.have.length(2);
  });

  it('prints figures and differences as aligned text', () => {
    const { expected } = requireBranch('norway');
    expect(formatFigures([{ branch: 'norway', source: 'csv', figures: expected }]).split('\n')).to.deep.equal(
      [
        'branch  source  invoices  credits  lines    total  skus  units  orders',
        '------  ------  --------  -------  -----  -------  ----  -----  ------',
        'norway  csv            1        0     73  1919.14    73  -1852       0',
        '',
      ],
    );
    const wrong = compareFigures(expected, { ...expected, lines: 72, stock: new Map() });
    expect(formatDifferences(wrong, 1))
      .to.contain('lines             73      72')
      .and.contain('… and 73 more');
    expect(formatDifferences([])).to.equal('');
  });
});

function describeFigures(slug: string, figures: Figures): string {
  const { invoices, credits, lines, total, stock } = figures;
  const listed = [...stock]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([sku, quantity]) => `${sku}=${quantity}\n`);
  const digest = createHash('sha256').update(listed.join('')).digest('hex');
  return [slug, invoices, credits, lines, total, stock.size, digest].join(' ');
}

/** Resolves to the exit code or the signal; with `killAfter` the till is killed after so many invoices. */
async function runTill(path: string, killAfter = Infinity): Promise<number | string> {
  const till = spawn(process.execPath, ['--import', 'tsx', 'test/demo/retail-seller.ts', path, SAMPLE]);
  let sold = 0;
  till.stdout.on('data', (dots: Buffer) => {
    sold += dots.length;
    if (sold >= killAfter) till.kill('SIGKILL');
  });
  const [code, signal] = (await once(till, 'close')) as [number | null, string | null];
  return signal ?? code ?? 'unknown';
}
