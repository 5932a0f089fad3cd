import { DatabaseSync, type DatabaseSyncInstance, type StatementSyncInstance } from '@photostructure/sqlite';
import type { RetailInvoice } from './invoices.ts';

/** The books of one branch: a SQLite file shaped like a small ERP that knows nothing of Sluice. */
export interface Erp {
  readonly path: string;
  readonly database: DatabaseSyncInstance;
  readonly statements: ErpStatements;
  close(): void;
}

type ErpStatements = Record<keyof typeof STATEMENTS, StatementSyncInstance>;

/** Another process (the branch's agent) writes to the same file: wait for it rather than fail. */
const BUSY_TIMEOUT_MS = 10_000;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS products (
  sku TEXT PRIMARY KEY,
  name TEXT,
  unit_price TEXT
);
CREATE TABLE IF NOT EXISTS stock (
  sku TEXT PRIMARY KEY,
  quantity INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS invoices (
  id INTEGER PRIMARY KEY,
  number TEXT NOT NULL UNIQUE,
  issued_at TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('sale', 'credit')),
  customer TEXT,
  total TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS invoice_lines (
  invoice_id INTEGER NOT NULL REFERENCES invoices (id),
  line_no INTEGER NOT NULL,
  sku TEXT NOT NULL,
  description TEXT,
  quantity INTEGER NOT NULL,
  unit_price TEXT NOT NULL,
  PRIMARY KEY (invoice_id, line_no)
);
CREATE TABLE IF NOT EXISTS stock_movements (
  id INTEGER PRIMARY KEY,
  invoice_id INTEGER REFERENCES invoices (id),
  sku TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  moved_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
  id INTEGER PRIMARY KEY,
  number TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL DEFAULT 'draft'
);
CREATE INDEX IF NOT EXISTS stock_movements_by_invoice ON stock_movements (invoice_id);
`;

const STATEMENTS = {
  findInvoice: 'SELECT id FROM invoices WHERE number = ?',
  insertInvoice:
    'INSERT INTO invoices (number, issued_at, kind, customer, total) VALUES (?, ?, ?, ?, ?) RETURNING id',
  insertLine:
    'INSERT INTO invoice_lines (invoice_id, line_no, sku, description, quantity, unit_price) VALUES (?, ?, ?, ?, ?, ?)',
  insertMovement: 'INSERT INTO stock_movements (invoice_id, sku, quantity, moved_at) VALUES (?, ?, ?, ?)',
  // A known product is left alone, so that whoever watches the table sees no change where there is none.
  upsertProduct: `INSERT INTO products (sku, name, unit_price) VALUES (?, ?, ?)
    ON CONFLICT (sku) DO UPDATE SET name = excluded.name, unit_price = excluded.unit_price
    WHERE products.unit_price IS NULL AND excluded.unit_price IS NOT NULL`,
  insertOrder: 'INSERT INTO orders (number, status) VALUES (?, ?) ON CONFLICT (number) DO NOTHING',
  moveOrder: 'UPDATE orders SET status = ? WHERE number = ? AND status = ?',
  moveStock: `INSERT INTO stock (sku, quantity) VALUES (?, ?)
    ON CONFLICT (sku) DO UPDATE SET quantity = quantity + excluded.quantity`,
} as const;

/**
 * Opens a branch's books, or starts them. WAL with synchronous=FULL: an invoice that was sold is on the disk.
 * Money is TEXT (exact decimals), times are ISO 8601 in UTC.
 */
export function createErp(path: string): Erp {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
    database.exec(SCHEMA);
  } catch (error) {
    database.close();
    throw error;
  }
  const statements = Object.fromEntries(
    Object.entries(STATEMENTS).map(([name, sql]) => [name, database.prepare(sql)]),
  ) as ErpStatements;
  return { path, database, statements, close: () => database.close() };
}

/**
 * Sells one invoice in one local transaction: new products, the invoice, its lines, a movement a line, the stock.
 * Returns false, changing nothing, if the invoice is in the books already (a seller that was killed sells it again).
 */
export function sellInvoice(erp: Erp, invoice: RetailInvoice): boolean {
  erp.database.exec('BEGIN IMMEDIATE');
  try {
    const isNew = erp.statements.findInvoice.get(invoice.number) === undefined;
    if (isNew) writeInvoice(erp.statements, invoice);
    erp.database.exec('COMMIT');
    return isNew;
  } catch (error) {
    if (erp.database.isTransaction) erp.database.exec('ROLLBACK');
    throw error;
  }
}

/** Index of the first invoice that is not in the books yet; `invoices.length` when all are. */
export function nextUnsold(erp: Erp, invoices: readonly RetailInvoice[], from = 0): number {
  for (let index = from; index < invoices.length; index += 1) {
    const invoice = invoices[index];
    if (invoice && erp.statements.findInvoice.get(invoice.number) === undefined) return index;
  }
  return invoices.length;
}

function writeInvoice(statements: ErpStatements, invoice: RetailInvoice): void {
  const { number, date, kind, customer = null, total } = invoice;
  const { id } = statements.insertInvoice.get(number, date, kind, customer, total) as { id: number };
  invoice.lines.forEach(({ sku, description = null, quantity, unitPrice }, index) => {
    // An adjustment carries no price, and a remark ("damaged?") where the product's name would be.
    const isPriced = /[1-9]/.test(unitPrice) && !unitPrice.startsWith('-');
    statements.upsertProduct.run(sku, isPriced ? description : null, isPriced ? unitPrice : null);
    statements.insertLine.run(id, index + 1, sku, description, quantity, unitPrice);
    // What is sold leaves the stock; 0 - 0 is 0, where -0 would be stored as a float.
    statements.insertMovement.run(id, sku, 0 - quantity, date);
    statements.moveStock.run(sku, 0 - quantity);
  });
}
