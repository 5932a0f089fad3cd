import { countrySlug } from './retail/branches.ts';
import { createExpectation } from './retail/expected.ts';
import { loadRetail } from './retail/load.ts';
import type { LoadedRetail } from './retail/load.ts';
import { readRetailCsv } from './retail/read.ts';
import type { RefusedRow } from './retail/read.ts';

/**
 * Reads the files and divides them over branches. With a limit, each branch sells its first invoices only, and the
 * figures it must reach are added up again from the rows of just those, straight from the files.
 */
export async function readInput(options: {
  files: string[];
  branches: number;
  limit: number | undefined;
  onRefused: (row: RefusedRow) => void;
}): Promise<LoadedRetail> {
  const { files, branches, limit, onRefused } = options;
  const loaded = await loadRetail({ files, branches, onRefused });
  if (limit === undefined) return loaded;
  const kept = loaded.branches.map((each) => ({ ...each, invoices: each.invoices.slice(0, limit) }));
  const wanted = new Set(
    kept.flatMap(({ invoices }) => invoices.map(({ country, number }) => keyOf(country, number))),
  );
  const expectation = createExpectation();
  await readRetailCsv(files, (row) => {
    if (row.kind === 'line' && wanted.has(keyOf(row.line.country, row.line.invoiceNo)))
      expectation.add(row.line);
  });
  return {
    summary: loaded.summary,
    branches: kept.map((each) => ({ ...each, expected: expectation.figures(each.branch) })),
  };
}

/** An invoice by where it comes from; the suffix that tells two invoices of one number apart is ours, not the file's. */
function keyOf(country: string, number: string): string {
  return `${countrySlug(country)}/${number.split('~')[0] ?? number}`;
}
