import { Command, InvalidArgumentError } from 'commander';

export interface DemoOptions {
  input: string[];
  branches: number;
  /** Invoices a second in each branch; 0 is as fast as possible. */
  pace: number;
  seed: number;
  /** At most this many invoices a branch. */
  limit: number | undefined;
  chaos: boolean;
  json: boolean;
  stay: boolean;
  keep: boolean;
  port: number;
}

/** Reads the command line; `--help` explains it. */
export function parseOptions(argv: readonly string[], defaultInput: string): DemoOptions {
  const command = new Command('demo')
    .description(
      'Branches sell real invoices into their own databases, agents carry them to a gateway, and at the end the figures ' +
        'of the CSV, of every branch and of the centre must be equal to the unit and the penny.',
    )
    .usage('[options]      (npm run demo -- [options])')
    .option('--input <files...>', 'CSV files of invoices, gzipped or not', [defaultInput])
    .option(
      '--branches <n>',
      'the n-1 busiest countries become a branch each, the others share one',
      count(1),
      3,
    )
    .option('--pace <n>', 'invoices a second in each branch; 0 is as fast as possible', number(0), 20)
    .option(
      '--seed <n>',
      'repeats the same pauses and the same chaos (default: another one each time)',
      count(0),
    )
    .option('--limit <n>', 'at most n invoices in each branch', count(1))
    .option(
      '--chaos',
      'kill the gateway, PostgreSQL, agents and tills; cut connections; deliver twice: each at least once',
      false,
    )
    .option('--port <n>', 'port of the gateway, when it is free', count(0), 8300)
    .option('--stay', 'print the outcome, then keep the gateway running until Ctrl-C, to look around', false)
    .option('--keep', 'keep the work folder with the databases and logs', false)
    .option('--json', 'print the outcome as one JSON object', false)
    .addHelpText(
      'after',
      '\nExits with 0 when all figures are equal, 1 when not, 2 when the command line is wrong.',
    )
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : 2);
    });
  command.parse(argv, { from: 'user' });
  const given = command.opts<Omit<DemoOptions, 'seed'> & { seed?: number }>();
  return { ...given, seed: given.seed ?? Date.now() % 1_000_000 };
}

function number(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < least) {
      throw new InvalidArgumentError(`Give a number of ${least} or more.`);
    }
    return value;
  };
}

function count(least: number): (text: string) => number {
  return (text) => {
    const value = number(least)(text);
    if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('Give a whole number.');
    return value;
  };
}
