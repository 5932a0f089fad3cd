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

/** A day, or a moment with its zone; a day ends with it (UTC). */
export function parseMoment(value: string): string {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(value);
  const moment = new Date(isDay ? `${value}T23:59:59Z` : value);
  const hasZone = isDay || /(Z|[+-]\d\d:?\d\d)$/i.test(value);
  if (!hasZone || Number.isNaN(moment.getTime()))
    throw new InvalidArgumentError(
      'Give a day such as 2027-12-31, or a moment such as 2027-12-31T18:00:00Z.',
    );
  return moment.toISOString();
}

/** What every administrative command takes. */
export function addAdminOptions(command: Command): Command {
  return addKeyOption(command.option('--tenant-id <n>', 'which tenant', parseCount));
}

/** The same for what stands above tenants. */
export function addKeyOption(command: Command): Command {
  return command.option(
    '--admin-key-file <file>',
    'file with the admin key (else SLUICE_ADMIN_KEY, your session, DATA_DIR/admin.key)',
  );
}
