import type { Paper } from './render.ts';
import { clean, fit, padEnd, padStart, widthOf } from './terminal-text.ts';

/** Columns as wide as their cells; on a terminal the last one is cut to what is left. */
export function table(
  { theme, columns = Infinity }: Paper,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  paint: (cell: string, column: number) => string = (cell) => cell,
): string[] {
  const cells = rows.map((row) => row.map(clean));
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...cells.map((row) => widthOf(row[at] ?? ''))),
  );
  const numeric = heads.map((_, at) => cells.every((row) => /^[\d.,−-]*$/.test(row[at] ?? '')));
  const last = heads.length - 1;
  for (let spare = excess(widths, columns), at = last; spare > 0 && at >= 0; at -= 1) {
    const least = Math.max(heads[at]?.length ?? 0, at === last ? 8 : 12);
    const cut = Math.min(spare, Math.max(0, (widths[at] ?? 0) - least));
    widths[at] = (widths[at] ?? 0) - cut;
    spare -= cut;
  }
  const line = (row: readonly string[], colour: (cell: string, column: number) => string): string =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        const pad = numeric[at] === true && at !== last ? padStart : padEnd;
        return colour(pad(fit(cell, width), width), at);
      })
      .join('  ')
      .trimEnd();
  return [line(heads, (cell) => theme.dim(cell)), ...cells.map((row) => line(row, paint))];
}

function excess(widths: readonly number[], columns: number): number {
  return widths.reduce((sum, width) => sum + width + 2, -2) - columns;
}
