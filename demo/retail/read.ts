import { createReadStream } from 'node:fs';
import { Readable, pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { RetailInputError } from './input-error.ts';
import { createLineSplitter, type PhysicalLine } from './lines.ts';
import { createRecordAssembler, parseRecord, type RawRecord, type RecordAssembler } from './records.ts';
import { classifyRow, type RefusalReason, type RetailLine, type RowText } from './row.ts';

export type { RefusalReason, RetailLine } from './row.ts';

/** A row that cannot be a valid record: where it is, why, and how it begins. */
export interface RefusedRow {
  file: string;
  /** Physical line, from 1; the header is line 1. */
  line: number;
  reason: RefusalReason;
  /** At most 120 characters; control characters are escaped, so that it is safe to print. */
  text: string;
}

export type RetailRow = { kind: 'line'; line: RetailLine } | { kind: 'refused'; refused: RefusedRow };

/** rows = accepted + refused. Blank lines hold no row and are counted apart. */
export interface ReadSummary {
  rows: number;
  accepted: number;
  refused: number;
  blank: number;
  reasons: Partial<Record<RefusalReason, number>>;
}

/**
 * Reads invoice lines (InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country; columns
 * in any order) from CSV files, gzipped or not (told by content, not by name), UTF-8 or Latin-1, one after the other as
 * a stream. Every row is handed to `onRow`, as a line or refused; none is dropped.
 * Throws RetailInputError when a file as a whole cannot be read (missing, damaged, without one of the columns).
 */
export async function readRetailCsv(files: string[], onRow: (row: RetailRow) => void): Promise<ReadSummary> {
  const summary: ReadSummary = { rows: 0, accepted: 0, refused: 0, blank: 0, reasons: {} };
  const share = createInterner();
  for (const file of files) await readFile(file, { summary, share, onRow });
  return summary;
}

interface Reading {
  summary: ReadSummary;
  share: (text: string) => string;
  onRow: (row: RetailRow) => void;
}

async function readFile(file: string, reading: Reading): Promise<void> {
  let records: RecordAssembler | undefined;
  const splitter = createLineSplitter((line) => {
    if (records) records.push(line);
    else if (line.text.trim() !== '') records = startRecords(file, line, reading);
  });
  try {
    for await (const chunk of await openBytes(file)) splitter.push(chunk as Buffer);
  } catch (error) {
    throw translate(file, error);
  }
  splitter.end();
  if (!records) throw new RetailInputError('no_header', file, 'is empty: it has not even a header line.');
  records.end();
}

/** The bytes of the file, unpacked. Looks at the content once only, so that a pipe can be read as well. */
async function openBytes(file: string): Promise<Readable> {
  const chunks = createReadStream(file)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
    head = Buffer.concat([head, next.value]);
    if (head.length >= 4) break;
  }
  const magic = head.toString('hex', 0, 3);
  if (magic.startsWith('fffe') || magic.startsWith('feff'))
    throw new RetailInputError('unsupported_encoding', file, 'is UTF-16: save it as UTF-8.');
  if (!magic.startsWith('1f8b')) return Readable.from(prepend(head, chunks));
  // An error of either end surfaces where the result is read.
  return pipeline(Readable.from(prepend(head, chunks)), createGunzip(), () => undefined);
}

async function* prepend(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

function translate(file: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code.startsWith('Z_'))
    return new RetailInputError('damaged_gzip', file, `the gzip data is damaged (${code}).`);
  if (/^E[A-Z]+$/.test(code)) return new RetailInputError('unreadable', file, `cannot be read (${code}).`);
  return error;
}

function startRecords(file: string, header: PhysicalLine, reading: Reading): RecordAssembler {
  const columns = locateColumns(file, header.text);
  const { summary, onRow } = reading;
  return createRecordAssembler(columns.width, (record) => {
    if (isBlank(record)) {
      summary.blank += 1;
      return;
    }
    const row = readRecord(file, record, { columns, share: reading.share });
    count(summary, row);
    onRow(row);
  });
}

interface Columns {
  width: number;
  at: Record<keyof RowText, number>;
}

const COLUMNS: Record<keyof RowText, { title: string; names: string[] }> = {
  invoiceNo: { title: 'InvoiceNo', names: ['invoiceno', 'invoice'] },
  sku: { title: 'StockCode', names: ['stockcode'] },
  description: { title: 'Description', names: ['description'] },
  quantity: { title: 'Quantity', names: ['quantity'] },
  date: { title: 'InvoiceDate', names: ['invoicedate'] },
  unitPrice: { title: 'UnitPrice', names: ['unitprice', 'price'] },
  customerId: { title: 'CustomerID', names: ['customerid'] },
  country: { title: 'Country', names: ['country'] },
};

/** Titles are compared by their letters alone; the second edition of the data set says Invoice, Price, Customer ID. */
function locateColumns(file: string, header: string): Columns {
  const titles = (parseRecord(header.replace(/^\uFEFF/, '')) ?? []).map((title) =>
    title.toLowerCase().replace(/[^a-z]/g, ''),
  );
  const entries = Object.entries(COLUMNS).map(([key, { title, names }]) => {
    const index = titles.findIndex((found) => names.includes(found));
    if (index === -1) throw new RetailInputError('missing_column', file, `the column ${title} is missing.`);
    return [key, index] as const;
  });
  return { width: titles.length, at: Object.fromEntries(entries) as Columns['at'] };
}

function isBlank(record: RawRecord): boolean {
  return 'fields' in record && record.fields.length === 1 && record.fields[0]?.trim() === '';
}

interface RowContext {
  columns: Columns;
  share: (text: string) => string;
}

function readRecord(file: string, record: RawRecord, { columns, share }: RowContext): RetailRow {
  const refuse = (reason: RefusalReason, text: string): RetailRow => ({
    kind: 'refused',
    refused: { file, line: record.line, reason, text: shorten(text) },
  });
  if (!('fields' in record)) return refuse(record.fault, record.text);
  const { fields } = record;
  if (fields.length !== columns.width) return refuse('wrong_column_count', fields.join(','));
  const text = Object.fromEntries(
    Object.entries(columns.at).map(([key, index]) => [key, share(fields[index] ?? '')]),
  );
  const line = classifyRow(text as unknown as RowText);
  return typeof line === 'string' ? refuse(line, fields.join(',')) : { kind: 'line', line };
}

function count(summary: ReadSummary, row: RetailRow): void {
  summary.rows += 1;
  if (row.kind === 'line') {
    summary.accepted += 1;
    return;
  }
  summary.refused += 1;
  const { reason } = row.refused;
  summary.reasons[reason] = (summary.reasons[reason] ?? 0) + 1;
}

/** Refused rows end up in terminals: an escape sequence in the file must not reach one. */
function shorten(text: string): string {
  const begin = text.length > 120 ? `${text.slice(0, 119)}…` : text;
  return begin.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Months repeat the same few thousand products, dates and customers: each text is kept once. */
function createInterner(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    if (known.size >= 100_000) known.clear();
    known.set(text, text);
    return text;
  };
}
