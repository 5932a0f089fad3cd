import { createExpectation, type Figures } from './expected.ts';
import { createInvoiceCollector, type BranchInvoices } from './invoices.ts';
import { addOpening, planOpeningStock } from './opening.ts';
import type { OpeningStock } from './opening.ts';
import { planOrders, stateOfOrders } from './orders.ts';
import type { OrderStep } from './orders.ts';
import { readRetailCsv, type ReadSummary, type RefusedRow } from './read.ts';

export interface LoadOptions {
  files: string[];
  /** At most this many branches (planBranches). */
  branches: number;
  onRefused?: (row: RefusedRow) => void;
}

/** A branch, its invoices in selling order, and the figures it must reach, added up from the rows alone. */
export interface LoadedBranch extends BranchInvoices {
  expected: Figures;
  opening: OpeningStock[];
  orders: OrderStep[];
}

/** Opening stock and orders belong to the shop, not to the files: made up, and added to what must be reached. */
export function openShop(loaded: LoadedBranch, seed: number): LoadedBranch {
  const { invoices, expected } = loaded;
  const opening = planOpeningStock(invoices, seed);
  const orders = planOrders(invoices.length, seed + 1);
  const stock = addOpening(expected.stock, opening);
  return { ...loaded, opening, orders, expected: { ...expected, stock, orders: stateOfOrders(orders) } };
}

export interface LoadedRetail {
  branches: LoadedBranch[];
  summary: ReadSummary;
}

/** Reads the files once and divides their invoices over branches. Throws RetailInputError (readRetailCsv). */
export async function loadRetail({ files, branches, onRefused }: LoadOptions): Promise<LoadedRetail> {
  const collector = createInvoiceCollector();
  const expectation = createExpectation();
  const summary = await readRetailCsv(files, (row) => {
    if (row.kind === 'refused') {
      onRefused?.(row.refused);
      return;
    }
    collector.add(row.line);
    expectation.add(row.line);
  });
  const divided = collector.divide(branches);
  return {
    branches: divided.map((each) => ({
      ...each,
      expected: expectation.figures(each.branch),
      opening: [],
      orders: [],
    })),
    summary,
  };
}
