import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { addDecimal, compareDecimal, multiplyDecimal } from '../../protocol/decimal.ts';
import { countrySlug, type RetailBranch } from './branches.ts';
import type { RetailLine } from './row.ts';

/** What must be equal in the file, in a branch's books and at the centre. Money is exact decimal strings. */
export interface Figures {
  invoices: number;
  /** Those of the invoices that are cancellations. */
  credits: number;
  lines: number;
  /** Sum of the invoices' totals. */
  total: string;
  /** Sum of quantity × price over all lines. */
  lineTotal: string;
  /** Quantity per stock code; what is sold makes it less. */
  stock: Map<string, number>;
  /** State per number of an order. */
  orders: Map<string, string>;
}

export interface Expectation {
  add(line: RetailLine): void;
  figures(branch: RetailBranch): Figures;
}

export interface Difference {
  /** `invoices`, `total`… or `stock <sku>`. */
  figure: string;
  expected: string;
  actual: string;
}

/**
 * The figures straight from the rows of the file. Goes its own way on purpose: it adds up rows, never invoices, so that
 * a fault in grouping, numbering or selling shows as a difference.
 */
export function createExpectation(): Expectation {
  const countries = new Map<string, CountrySums>();
  return {
    add(line) {
      const sums = countries.get(line.country) ?? createSums();
      countries.set(line.country, sums);
      sums.numbers.add(line.invoiceNo);
      sums.lines += 1;
      sums.total = addDecimal(sums.total, multiplyDecimal(String(line.quantity), line.unitPrice));
      sums.stock.set(line.sku, (sums.stock.get(line.sku) ?? 0) - line.quantity);
    },
    figures(branch) {
      const own = [...countries].filter(([name]) => branch.countries.includes(countrySlug(name)));
      return addUp(own);
    },
  };
}

/** The same figures from a branch's books, read with SQL. */
export function readErpFigures(database: DatabaseSyncInstance): Figures {
  const counts = database
    .prepare(
      `SELECT count(*) AS invoices, count(*) FILTER (WHERE kind = 'credit') AS credits,
         (SELECT count(*) FROM invoice_lines) AS lines FROM invoices`,
    )
    .get() as Pick<Figures, 'invoices' | 'credits' | 'lines'>;
  const totals = database.prepare('SELECT total FROM invoices').all() as { total: string }[];
  // Lines of one price are added up by SQLite in whole units; SQLite has no exact decimals to multiply with.
  const prices = database
    .prepare('SELECT unit_price AS price, sum(quantity) AS units FROM invoice_lines GROUP BY unit_price')
    .all() as { price: string; units: number }[];
  const stock = database.prepare('SELECT sku, quantity FROM stock').all() as {
    sku: string;
    quantity: number;
  }[];
  const orders = database.prepare('SELECT number, status FROM orders').all() as {
    number: string;
    status: string;
  }[];
  return {
    ...counts,
    total: sumDecimals(totals.map(({ total }) => total)),
    lineTotal: sumDecimals(prices.map(({ price, units }) => multiplyDecimal(String(units), price))),
    stock: new Map(stock.map(({ sku, quantity }) => [sku, quantity])),
    orders: new Map(orders.map(({ number, status }) => [number, status])),
  };
}

/** Stock that is not the sum of its movements, as differences: a fault of the branch's own books. */
export function findStockFaults(database: DatabaseSyncInstance): Difference[] {
  const rows = database
    .prepare(
      `WITH moved AS (SELECT sku, sum(quantity) AS quantity FROM stock_movements GROUP BY sku),
         skus AS (SELECT sku FROM moved UNION SELECT sku FROM stock)
       SELECT sku, moved.quantity AS moved, stock.quantity AS stocked
       FROM skus LEFT JOIN moved USING (sku) LEFT JOIN stock USING (sku)
       WHERE moved.quantity IS NOT stock.quantity ORDER BY sku`,
    )
    .all() as { sku: string; moved: number | null; stocked: number | null }[];
  return rows.map(({ sku, moved, stocked }) => ({
    figure: `stock ${sku}`,
    expected: shown(moved ?? undefined),
    actual: shown(stocked ?? undefined),
  }));
}

/** Empty if equal to the unit and the penny ("1.5" is "1.50"). A stock code that one side lacks is a difference. */
export function compareFigures(expected: Figures, actual: Figures): Difference[] {
  const counts = (['invoices', 'credits', 'lines'] as const)
    .filter((figure) => expected[figure] !== actual[figure])
    .map((figure) => ({ figure, expected: shown(expected[figure]), actual: shown(actual[figure]) }));
  const totals = (['total', 'lineTotal'] as const)
    .filter((figure) => compareDecimal(expected[figure], actual[figure]) !== 0)
    .map((figure) => ({ figure, expected: expected[figure], actual: actual[figure] }));
  const stock = compareEach('stock', expected.stock, actual.stock);
  return [...counts, ...totals, ...stock, ...compareEach('order', expected.orders, actual.orders)];
}

function compareEach<T extends number | string>(
  name: string,
  expected: ReadonlyMap<string, T>,
  actual: ReadonlyMap<string, T>,
): Difference[] {
  return [...new Set([...expected.keys(), ...actual.keys()])]
    .sort()
    .filter((key) => expected.get(key) !== actual.get(key))
    .map((key) => ({
      figure: `${name} ${key}`,
      expected: shown(expected.get(key)),
      actual: shown(actual.get(key)),
    }));
}

/** Net units over all stock codes. */
export function countUnits(figures: Figures): number {
  return [...figures.stock.values()].reduce((sum, quantity) => sum + quantity, 0);
}

interface CountrySums {
  numbers: Set<string>;
  lines: number;
  total: string;
  stock: Map<string, number>;
}

function createSums(): CountrySums {
  return { numbers: new Set(), lines: 0, total: '0.00', stock: new Map() };
}

function addUp(countries: [name: string, sums: CountrySums][]): Figures {
  // Spellings of one country ("EIRE", "Eire") share their invoices, two countries do not.
  const numbers = new Set<string>();
  const stock = new Map<string, number>();
  for (const [name, sums] of countries) {
    for (const number of sums.numbers) numbers.add(`${countrySlug(name)}\n${number}`);
    for (const [sku, quantity] of sums.stock) stock.set(sku, (stock.get(sku) ?? 0) + quantity);
  }
  const total = sumDecimals(countries.map(([, sums]) => sums.total));
  return {
    invoices: numbers.size,
    credits: [...numbers].filter((number) => /\nc/i.test(number)).length,
    lines: countries.reduce((sum, [, { lines }]) => sum + lines, 0),
    total,
    lineTotal: total,
    stock,
    orders: new Map(),
  };
}

function sumDecimals(values: string[]): string {
  return values.reduce(addDecimal, '0.00');
}

function shown(value: number | string | undefined): string {
  return value === undefined ? '(none)' : String(value);
}
