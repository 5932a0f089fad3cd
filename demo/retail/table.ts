import { countUnits, type Difference, type Figures } from './expected.ts';

/** Where figures were taken: "csv", "branch", "centre". */
export interface FiguresRow {
  branch: string;
  source: string;
  figures: Figures;
}

/** Rows as aligned plain text with a ruled heading; columns of numbers are aligned to the right. Ends with a newline. */
export function formatTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const isNumeric = heading.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^(-?[\d.]+|\(none\))$/.test(row[column] ?? '')),
  );
  const line = (cells: readonly string[]): string =>
    widths
      .map((width, column) =>
        isNumeric[column] ? (cells[column] ?? '').padStart(width) : (cells[column] ?? '').padEnd(width),
      )
      .join('  ')
      .trimEnd();
  return [line(heading), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line), ''].join(
    '\n',
  );
}

/** One line a branch and source: counts, total and stock. */
export function formatFigures(rows: readonly FiguresRow[]): string {
  return formatTable(
    ['branch', 'source', 'invoices', 'credits', 'lines', 'total', 'skus', 'units', 'orders'],
    rows.map(({ branch, source, figures }) => [
      branch,
      source,
      String(figures.invoices),
      String(figures.credits),
      String(figures.lines),
      figures.total,
      String(figures.stock.size),
      String(countUnits(figures)),
      String(figures.orders.size),
    ]),
  );
}

/** The first `limit` differences and how many more there are; an empty string if there are none. */
export function formatDifferences(differences: readonly Difference[], limit = 20): string {
  if (differences.length === 0) return '';
  const rows = differences.slice(0, limit).map(({ figure, expected, actual }) => [figure, expected, actual]);
  const more = differences.length > limit ? `… and ${differences.length - limit} more\n` : '';
  return formatTable(['difference', 'expected', 'actual'], rows) + more;
}
