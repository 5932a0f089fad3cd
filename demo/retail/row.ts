/** One valid line of an invoice. */
export interface RetailLine {
  invoiceNo: string;
  sku: string;
  description: string | null;
  /** Whole units, never beyond ±1e9; negative on cancellations and stock adjustments. */
  quantity: number;
  /** ISO 8601, UTC, as `2010-12-01T08:26:00.000Z`. The file has no time zone: its clock is taken as UTC. */
  at: string;
  /** Decimal string as given in the file ("2.1", "-11062.06"). */
  unitPrice: string;
  customerId: string | null;
  country: string;
}

/** Why a row cannot be a valid record. */
export type RefusalReason =
  | 'broken_quote'
  | 'line_too_long'
  | 'wrong_column_count'
  | 'control_character'
  | 'missing_invoice_number'
  | 'missing_stock_code'
  | 'missing_country'
  | 'field_too_long'
  | 'bad_quantity'
  | 'quantity_out_of_range'
  | 'bad_price'
  | 'price_out_of_range'
  | 'amount_out_of_range'
  | 'bad_date';

/** The columns of a row, by meaning, as text. */
export interface RowText {
  invoiceNo: string;
  sku: string;
  description: string;
  quantity: string;
  date: string;
  unitPrice: string;
  customerId: string;
  country: string;
}

/** So that every sum of a lifetime of sales stays a safe integer; the largest real figure is 80,995. */
const MAX_QUANTITY = 1_000_000_000;
/** So that the total of 5,000 lines keeps to the 15 digits that money may have on the wire. */
const MAX_AMOUNT = 1e11;
/** Money on the wire: at most 15 digits before the point and 6 behind. */
const PRICE = /^(-?)0*(\d+(?:\.\d+)?)$/;
const PRICE_IN_RANGE = /^-?\d{1,12}(\.\d{1,6})?$/;
/** Widths of the wire (protocol/collections.ts); a country leaves room for its slug in record ids. */
const WIDTHS = { invoiceNo: 40, sku: 100, description: 1_000, customerId: 200, country: 60 } as const;
/** A spreadsheet that meets an empty cell writes the whole column as floats: "6.0" is the integer 6. */
const QUANTITY = /^-?\d+(?:\.0+)?$/;
const DATE = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?Z?)?$/;
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * Decides whether a row is a valid line of an invoice.
 *
 * Valid, because the real months hold them: negative prices (bad debts written off), price zero, quantity zero or
 * negative, no customer, no description, stock codes that are no products (POST, M, BANK CHARGES), HTML or line breaks
 * in a description, the same line twice. Refused: what has no key (invoice number, stock code, country), what is not a
 * whole quantity, a decimal price or a date that exists, and what no record can hold (NUL, control characters in keys,
 * widths and magnitudes beyond the wire's).
 *
 * Blanks around a key are invisible and not part of it. Letter case is: in the real months `85123a` and `85123A` (93
 * such pairs) carry the same description, so they are surely one product typed in two ways; but joining them is for the
 * shop's master data to decide, and whoever recounts the file by StockCode must find our figures.
 */
export function classifyRow(row: RowText): RetailLine | RefusalReason {
  const keys = { invoiceNo: row.invoiceNo.trim(), sku: row.sku.trim(), country: row.country.trim() };
  return findKeyFault(row, keys) ?? readFigures(row, keys);
}

type Keys = Pick<RetailLine, 'invoiceNo' | 'sku' | 'country'>;

function findKeyFault(row: RowText, keys: Keys): RefusalReason | undefined {
  if (Object.values(row).some((value: string) => value.includes('\u0000'))) return 'control_character';
  if (keys.invoiceNo === '') return 'missing_invoice_number';
  if (keys.sku === '') return 'missing_stock_code';
  if (keys.country === '') return 'missing_country';
  if (Object.values(keys).some((value) => CONTROL.test(value))) return 'control_character';
  const texts = { ...keys, description: row.description, customerId: row.customerId };
  if (Object.entries(WIDTHS).some(([name, width]) => texts[name as keyof typeof WIDTHS].length > width))
    return 'field_too_long';
  return undefined;
}

function readFigures(row: RowText, keys: Keys): RetailLine | RefusalReason {
  const quantityText = row.quantity.trim();
  if (!QUANTITY.test(quantityText)) return 'bad_quantity';
  // Adding zero turns -0 into 0.
  const quantity = Number(quantityText) + 0;
  if (Math.abs(quantity) > MAX_QUANTITY) return 'quantity_out_of_range';
  const unitPrice = readPrice(row.unitPrice.trim());
  if (unitPrice === undefined) return 'bad_price';
  if (!PRICE_IN_RANGE.test(unitPrice)) return 'price_out_of_range';
  // A bound with room to spare: the precision of a float is enough to judge it.
  if (Math.abs(quantity * Number(unitPrice)) > MAX_AMOUNT) return 'amount_out_of_range';
  const at = readDate(row.date.trim());
  if (at === undefined) return 'bad_date';
  const description = row.description.trim() === '' ? null : row.description;
  return { ...keys, description, quantity, at, unitPrice, customerId: readCustomer(row.customerId) };
}

/** As given, but for leading zeros and a negative zero, which two readers could write differently. */
function readPrice(text: string): string | undefined {
  const [, sign, digits] = PRICE.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return /[1-9]/.test(digits) ? `${sign ?? ''}${digits}` : digits;
}

/** "17850.0" is the customer 17850, written by a spreadsheet that takes the column for floats. */
function readCustomer(text: string): string | null {
  const customer = text.trim().replace(/^(\d+)\.0$/, '$1');
  return customer === '' ? null : customer;
}

function readDate(text: string): string | undefined {
  const [, day, minute = '00:00', second = '00', fraction = ''] = DATE.exec(text) ?? [];
  if (day === undefined) return undefined;
  const iso = `${day}T${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`;
  const date = new Date(iso);
  // 30 February parses (as 2 March) in some engines: only a date that comes back unchanged exists.
  return !Number.isNaN(date.getTime()) && date.toISOString() === iso ? iso : undefined;
}
