import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { RetailInputError } from '../../demo/retail/input-error.ts';
import { readRetailCsv, type ReadSummary, type RefusedRow, type RetailLine } from '../../demo/retail/read.ts';

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';
const ROW = '536365,85123A,WHITE LANTERN,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom';

interface Reading {
  lines: RetailLine[];
  refused: RefusedRow[];
  summary: ReadSummary;
}

/** What dirty.csv says of itself: physical line and reason of every row that is refused. */
const DIRTY: [line: number, reason: string][] = [
  ...[6, 7, 8, 9, 10].map((line): [number, string] => [line, 'bad_quantity']),
  [11, 'quantity_out_of_range'],
  [12, 'quantity_out_of_range'],
  [18, 'missing_invoice_number'],
  [19, 'missing_invoice_number'],
  [20, 'missing_stock_code'],
  [21, 'missing_country'],
  ...[22, 23, 24, 25, 26].map((line): [number, string] => [line, 'bad_date']),
  [28, 'wrong_column_count'],
  [29, 'wrong_column_count'],
  [30, 'missing_invoice_number'],
  ...[31, 32, 33, 34, 35].map((line): [number, string] => [line, 'bad_price']),
  [36, 'price_out_of_range'],
  [37, 'price_out_of_range'],
  [38, 'amount_out_of_range'],
  [41, 'broken_quote'],
  [42, 'broken_quote'],
  [47, 'broken_quote'],
  [50, 'field_too_long'],
  [51, 'field_too_long'],
  [53, 'control_character'],
  [54, 'control_character'],
];

describe('demo: reading retail CSV', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-read-'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  async function read(content: string | Buffer): Promise<Reading> {
    const file = join(folder, 'input.csv');
    await writeFile(file, content);
    return readFiles([file]);
  }

  async function faultOf(content: string | Buffer): Promise<RetailInputError> {
    const error: unknown = await read(content).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(RetailInputError);
    return error as RetailInputError;
  }

  it('reads the sample whole', async () => {
    const { summary } = await readFiles(['samples/online-retail-sample.csv.gz']);
    expect(summary).to.deep.equal({ rows: 7419, accepted: 7419, refused: 0, blank: 0, reasons: {} });
  });

  it('refuses exactly the listed rows of dirty.csv, each with its reason', async () => {
    const { summary, refused, lines } = await readFiles(['samples/dirty.csv']);
    expect(refused.map(({ line, reason }) => [line, reason])).to.deep.equal(DIRTY);
    expect(summary).to.include({ rows: 57, accepted: 23, refused: 34, blank: 2 });
    expect(lines.map(({ description }) => description)).to.include.members([
      'BATH BUILDING\nBLOCK WORD',
      'Gift Voucher £30.00',
      'Dotcomgiftshop Gift Voucher £20.00',
      'RECORD FRAME 7" SINGLE SIZE',
    ]);
  });

  it('shows refused rows shortened and safe to print', async () => {
    const { refused } = await readFiles(['samples/dirty.csv']);
    expect(refused.every(({ text }) => text.length <= 160 && !/\p{Cc}/u.test(text))).to.equal(true);
    expect(refused.at(-1)?.text).to.contain('22\\x1b[31m423');
  });

  it('keeps what is given and takes the clock of the file for UTC', async () => {
    const { lines } = await read(`${HEADER}\n${ROW}\n`);
    expect(lines).to.deep.equal([
      {
        invoiceNo: '536365',
        sku: '85123A',
        description: 'WHITE LANTERN',
        quantity: 6,
        at: '2010-12-01T08:26:00.000Z',
        unitPrice: '2.55',
        customerId: '17850',
        country: 'United Kingdom',
      },
    ]);
  });

  it('takes columns in any order, more of them, and the titles of the second edition', async () => {
    const header =
      '\uFEFF"Country",Shop,Customer ID,Price,InvoiceDate,Quantity,Description,StockCode,Invoice';
    const { lines } = await read(`${header}\r\nFrance,3,,1.5,2011-01-04,2,,POST,C1\r\n`);
    expect(lines[0]).to.include({ invoiceNo: 'C1', sku: 'POST', country: 'France', unitPrice: '1.5' });
    expect(lines[0]).to.include({ description: null, customerId: null, at: '2011-01-04T00:00:00.000Z' });
  });

  it('tells gzip by content, of several members too', async () => {
    const { lines } = await read(Buffer.concat([gzipSync(`${HEADER}\n`), gzipSync(ROW)]));
    expect(lines).to.have.length(1);
  });

  it('names the file and the column that is missing', async () => {
    const error = await faultOf(HEADER.replace('UnitPrice,', ''));
    expect(error.fault).to.equal('missing_column');
    expect(error.message).to.match(/input\.csv.*UnitPrice/);
  });

  it('refuses a file that as a whole cannot be read', async () => {
    expect((await faultOf('')).fault).to.equal('no_header');
    expect((await faultOf('\n \n')).fault).to.equal('no_header');
    expect((await faultOf(Buffer.from(`\uFEFF${HEADER}`, 'utf16le'))).fault).to.equal('unsupported_encoding');
    const packed = gzipSync(`${HEADER}\n${`${ROW}\n`.repeat(500)}`);
    expect((await faultOf(packed.subarray(0, -20))).fault).to.equal('damaged_gzip');
    const missing: unknown = await readFiles([join(folder, 'none.csv')]).catch((error: unknown) => error);
    expect(missing).to.be.instanceOf(RetailInputError).with.property('fault', 'unreadable');
  });

  it('refuses an endless line without holding it, and goes on after it', async () => {
    const { refused, lines } = await read(`${HEADER}\n${'x'.repeat(3_000_000)}\n${ROW}\n`);
    expect(refused.map(({ line, reason }) => [line, reason])).to.deep.equal([[2, 'line_too_long']]);
    expect(lines).to.have.length(1);
  });

  it('two rows with a broken quote each do not join into one that looks valid', async () => {
    const open = '1,A,"HALF,6,2010-12-01,3.39,1,France';
    const close = '2,B,OTHER HALF",24,2010-12-01,3.75,2,France';
    const { refused, lines } = await read([HEADER, open, ROW, close, ROW].join('\n'));
    expect(refused.map(({ line, reason }) => [line, reason])).to.deep.equal([
      [2, 'broken_quote'],
      [4, 'broken_quote'],
    ]);
    expect(lines).to.have.length(2);
  });

  it('property: what is written is read back', async () => {
    const text = fc.string({
      maxLength: 30,
      unit: fc.constantFrom('A', 'é', '"', ',', '\n', ' ', '<', '日'),
    });
    const written = fc.array(fc.tuple(text, fc.integer({ min: -100_000, max: 100_000 })), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(written, fc.boolean(), async (rows, gzipped) => {
        // More commas in one line of a description than a row has columns look like a swallowed row.
        const safe = rows.map(([description, quantity]) => ({
          description: description.replaceAll(/,{2,}|,(?=[^\n]*,)/g, ''),
          quantity,
        }));
        const csv = [
          HEADER,
          ...safe.map((row) => `1,A,${quote(row.description)},${row.quantity},2011-01-01,1,,X`),
        ];
        const { lines } = await read(gzipped ? gzipSync(csv.join('\n')) : csv.join('\n'));
        const back = lines.map(({ description, quantity }) => ({ description: description ?? '', quantity }));
        expect(back).to.deep.equal(
          safe.map((row) => ({ ...row, description: row.description.trim() === '' ? '' : row.description })),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('property: no good row is lost among bad ones, and rows = accepted + refused', async () => {
    const junk = fc.string({
      maxLength: 40,
      unit: fc.constantFrom('"', ',', 'a', '1', '\u0000', '\r', '\u001b'),
    });
    const mixed = fc.array(fc.oneof(junk, fc.constant(ROW)), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(mixed, async (rows) => {
        const { lines, summary, refused } = await read([HEADER, ...rows, ''].join('\n'));
        expect(lines).to.have.length(rows.filter((row) => row === ROW).length);
        expect(summary.rows).to.equal(summary.accepted + summary.refused);
        expect(summary).to.include({ accepted: lines.length, refused: refused.length });
      }),
      { numRuns: 100 },
    );
  });
});

async function readFiles(files: string[]): Promise<Reading> {
  const lines: RetailLine[] = [];
  const refused: RefusedRow[] = [];
  const summary = await readRetailCsv(files, (row) => {
    if (row.kind === 'line') lines.push(row.line);
    else refused.push(row.refused);
  });
  return { lines, refused, summary };
}

function quote(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
