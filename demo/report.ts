import { DatabaseSync } from '@photostructure/sqlite';
import type { Centre } from './centre.ts';
import { compareFigures, findStockFaults, readErpFigures } from './retail/expected.ts';
import type { Difference, Figures } from './retail/expected.ts';
import { formatDifferences, formatFigures } from './retail/table.ts';
import type { FiguresRow } from './retail/table.ts';

export interface BranchOutcome {
  branch: string;
  csv: Figures;
  erp: Figures;
  centre: Figures;
  differences: Difference[];
}

/** Compares a branch's three books: straight from the CSV, from its own database, from the centre. */
export async function reconcileBranch(
  branch: { slug: string; databasePath: string; expected: Figures },
  centre: Centre,
): Promise<BranchOutcome> {
  const database = new DatabaseSync(branch.databasePath, { readOnly: true, timeout: 10_000 });
  try {
    const erp = readErpFigures(database);
    const figures = await centre.figures(branch.slug);
    const differences = [
      ...compareFigures(branch.expected, erp).map((one) => ({ ...one, figure: `branch: ${one.figure}` })),
      ...compareFigures(branch.expected, figures).map((one) => ({ ...one, figure: `centre: ${one.figure}` })),
      ...findStockFaults(database).map((one) => ({ ...one, figure: `branch’s own books: ${one.figure}` })),
    ];
    return { branch: branch.slug, csv: branch.expected, erp, centre: figures, differences };
  } finally {
    database.close();
  }
}

/** The table people read: a row a branch and book, then what differs, if anything does. */
export function formatOutcomes(outcomes: readonly BranchOutcome[]): string {
  const rows = outcomes.flatMap(({ branch, csv, erp, centre }): FiguresRow[] => [
    { branch, source: 'CSV', figures: csv },
    { branch: '', source: 'branch', figures: erp },
    { branch: '', source: 'centre', figures: centre },
  ]);
  const differences = outcomes.flatMap(({ branch, differences: found }) =>
    found.map((one) => ({ ...one, figure: `${branch}: ${one.figure}` })),
  );
  return `${formatFigures(rows)}${differences.length > 0 ? `\n${formatDifferences(differences)}` : ''}`;
}

/** A figure as JSON: the stock as its number of codes and units, the orders as their number in each state. */
export function figuresJson(figures: Figures): Record<string, unknown> {
  const { stock, orders, ...rest } = figures;
  const states: Record<string, number> = {};
  for (const state of orders.values()) states[state] = (states[state] ?? 0) + 1;
  return {
    ...rest,
    skus: stock.size,
    orders: states,
    units: [...stock.values()].reduce((sum, quantity) => sum + quantity, 0),
  };
}
