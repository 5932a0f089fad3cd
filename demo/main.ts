import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readInput } from './input.ts';
import { parseOptions } from './options.ts';
import type { DemoOptions } from './options.ts';
import { figuresJson, formatOutcomes } from './report.ts';
import { RetailInputError } from './retail/input-error.ts';
import { openShop } from './retail/load.ts';
import type { LoadedRetail } from './retail/load.ts';
import type { RefusedRow } from './retail/read.ts';
import { runDemo } from './run.ts';
import type { DemoOutcome } from './run.ts';
import { createScreen } from './screen.ts';
import type { Screen } from './screen.ts';

/** The process: command line → input → run → report. Exits: 0 equal, 1 not equal or failed, 2 wrong command line. */

const SAMPLE = ['../samples/', '../../samples/']
  .map((folder) => fileURLToPath(new URL(`${folder}online-retail-sample.csv.gz`, import.meta.url)))
  .find((path) => existsSync(path));

/** Refused rows shown one by one; the rest are counted. */
const SHOWN_ROWS = 200;

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), SAMPLE ?? 'samples/online-retail-sample.csv.gz');
  const screen = createScreen(options.json ? process.stderr : process.stdout);
  const { loaded, refused } = await read(options, screen);
  const workDir = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  try {
    const outcome = await runDemo({
      options,
      branches: loaded.branches.map((branch, i) => openShop(branch, options.seed + 1_000 * i)),
      workDir,
      screen,
      signal: interrupted.signal,
      onOutcome: (known) => report(options, known, loaded, refused),
    });
    return outcome.ok ? 0 : 1;
  } finally {
    if (options.keep) screen.line(`The work folder is kept: ${workDir}`);
    else await rm(workDir, { recursive: true, force: true });
  }
}

async function read(
  options: DemoOptions,
  screen: Screen,
): Promise<{ loaded: LoadedRetail; refused: RefusedRow[] }> {
  const refused: RefusedRow[] = [];
  screen.line(
    `Reading ${options.input.length === 1 ? 'the invoices' : `${options.input.length} files of invoices`} …`,
  );
  const loaded = await readInput({
    files: options.input,
    branches: options.branches,
    limit: options.limit,
    onRefused: (row) => void refused.push(row),
  });
  const { rows, accepted } = loaded.summary;
  screen.line(`${rows} rows: ${accepted} accepted, ${refused.length} refused`);
  if (options.limit !== undefined)
    screen.line(`Each branch sells at most ${options.limit} of its invoices (--limit).`);
  for (const row of refused.slice(0, SHOWN_ROWS)) {
    screen.line(`  refused ${row.file}:${row.line} ${row.reason}  ${row.text}`);
  }
  if (refused.length > SHOWN_ROWS) screen.line(`  … and ${refused.length - SHOWN_ROWS} more`);
  if (loaded.branches.length === 0) throw new Error('The input holds no invoice that can be sold.');
  return { loaded, refused };
}

function report(
  options: DemoOptions,
  outcome: DemoOutcome,
  loaded: LoadedRetail,
  refused: RefusedRow[],
): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(toJson(options, outcome, loaded, refused))}\n`);
    return;
  }
  const mishaps = Object.entries(outcome.mishaps).map(([name, times]) => `${times} × ${name}`);
  const lines = [
    '',
    formatOutcomes(outcome.branches),
    'CSV: the invoices as the files have them; stock: the opening stock, less what they sold; orders as planned.',
    ...(options.chaos ? [`Survived: ${mishaps.join(', ')} (seed ${options.seed})`] : []),
    `Refused rows: ${refused.length}`,
    outcome.ok
      ? `Equal to the unit and the penny: CSV, branches and centre, in ${outcome.seconds.toFixed(1)} s.`
      : `NOT equal: ${outcome.fault ?? 'see the differences above'} (seed ${options.seed}; --keep keeps the logs).`,
    '',
  ];
  process.stdout.write(lines.join('\n'));
}

function toJson(
  options: DemoOptions,
  outcome: DemoOutcome,
  loaded: LoadedRetail,
  refused: RefusedRow[],
): Record<string, unknown> {
  return {
    ok: outcome.ok,
    ...(outcome.fault === undefined ? {} : { fault: outcome.fault }),
    seed: options.seed,
    seconds: Math.round(outcome.seconds * 10) / 10,
    rows: { read: loaded.summary.rows, accepted: loaded.summary.accepted, refused: refused.length },
    refused: loaded.summary.reasons,
    mishaps: outcome.mishaps,
    branches: outcome.branches.map(({ branch, csv, erp, centre, differences }) => ({
      branch,
      csv: figuresJson(csv),
      erp: figuresJson(erp),
      centre: figuresJson(centre),
      differences,
    })),
  };
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${error instanceof RetailInputError ? '' : 'The demo failed: '}${message}\n`);
    process.exit(1);
  },
);
