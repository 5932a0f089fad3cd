import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';

/** Parsers of option values. */

/** An option that may be repeated. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

/** A whole number above 0. */
export function parseCount(value: string): number {
  const count = Number(value);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError('Give a whole number above 0.');
  return count;
}

/** A whole number, 0 or above. */
export function parseWhole(value: string): number {
  const count = value.trim() === '' ? NaN : Number(value);
  if (!Number.isSafeInteger(count) || count < 0)
    throw new InvalidArgumentError('Give a whole number, 0 or above.');
  return count;
}

/** What every administrative command takes. */
export function addAdminOptions(command: Command): Command {
  return command
    .option('--tenant-id <n>', 'which tenant', parseCount)
    .option(
      '--admin-key-file <file>',
      'file with the admin key (else SLUICE_ADMIN_KEY, else DATA_DIR/admin.key)',
    );
}
