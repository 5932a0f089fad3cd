import { createRandom } from '../random.ts';
import type { Erp } from './erp.ts';
import type { InvoiceItem, RetailInvoice } from './invoices.ts';

/** What lies on the shelf of a stock code before the first invoice. */
export interface OpeningStock {
  sku: string;
  name: string | null;
  unitPrice: string | null;
  quantity: number;
}

/** Boxes are counted by the dozen. */
const BOX = 12;

/**
 * The stock that a branch opens with, made up, for the files hold sales only: of each stock code as much as the invoices
 * take at most at any moment, and something over. The same seed gives the same stock.
 */
export function planOpeningStock(invoices: readonly RetailInvoice[], seed: number): OpeningStock[] {
  const random = createRandom(seed);
  const needs = new Map<string, { taken: number; most: number; item: InvoiceItem }>();
  for (const item of invoices.flatMap(({ lines }) => lines)) {
    const need = needs.get(item.sku) ?? { taken: 0, most: 0, item };
    need.taken += item.quantity;
    need.most = Math.max(need.most, need.taken);
    if (!isPriced(need.item)) need.item = item;
    needs.set(item.sku, need);
  }
  return [...needs].map(([sku, { most, item }]) => ({
    sku,
    name: isPriced(item) ? (item.description ?? null) : null,
    unitPrice: isPriced(item) ? item.unitPrice : null,
    quantity: Math.ceil((most * (1 + random()) + random() * 4 * BOX) / BOX) * BOX,
  }));
}

/** Puts it into the books, in one transaction, before anything is sold: a movement without an invoice each. */
export function stockUp({ database, statements }: Erp, opening: readonly OpeningStock[], at: string): void {
  database.exec('BEGIN IMMEDIATE');
  for (const { sku, name, unitPrice, quantity } of opening) {
    statements.upsertProduct.run(sku, name, unitPrice);
    statements.insertMovement.run(null, sku, quantity, at);
    statements.moveStock.run(sku, quantity);
  }
  database.exec('COMMIT');
}

/** What must be on the shelves when so much has been sold. */
export function addOpening(
  sold: ReadonlyMap<string, number>,
  opening: readonly OpeningStock[],
): Map<string, number> {
  const stock = new Map(sold);
  for (const { sku, quantity } of opening) stock.set(sku, (stock.get(sku) ?? 0) + quantity);
  return stock;
}

/** An adjustment carries no price, and a remark ("damaged?") where the product's name would be. */
function isPriced({ unitPrice }: InvoiceItem): boolean {
  return /[1-9]/.test(unitPrice) && !unitPrice.startsWith('-');
}
