import type { Command } from 'commander';
import { Option } from 'commander';
import type { AdminCall, AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../failure.ts';
import { addAdminOptions, collect, parseCount, parseMoment, parseWhole } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { pairLines } from '../render.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface KeyOptions extends AdminOptions {
  permission?: string[];
  partition?: string[];
  rate?: number;
  expires?: string;
}

interface Owner {
  id: string;
  name: string;
  clientType: string;
  isActive: boolean;
  apiKeyCount: number;
}

interface Key {
  id: string;
  clientName: string;
  prefixes: { prefix: string; expiresAt: string | null }[];
  permissions: string[];
  partitions: string[];
  expiresAt: string | null;
  isActive: boolean;
  revokedAt: string | null;
  lastUsedAt: string | null;
}

interface Page<T> {
  clients?: T[];
  apiKeys?: T[];
  pagination: { pages: number };
}

const DEFAULT_OVERLAP_HOURS = 24;
const HOUR_SECONDS = 3_600;
const PAGE = 100;

export const addAdminKeyCommands: AddCommands = (parent: Command, bind) => {
  const keys = parent.command('keys').description('API keys and whom they belong to');
  addAdminOptions(keys.command('create-owner'))
    .description('register whom keys belong to')
    .requiredOption('--name <name>', 'for example "Web shop"')
    .addOption(
      new Option('--type <type>').choices(['web', 'mobile', 'desktop', 'service']).default('service'),
    )
    .action(bind(createOwner));
  addAdminOptions(keys.command('owners')).description('list whom keys belong to').action(bind(listOwners));
  addSettings(addAdminOptions(keys.command('create')))
    .description('make a key; it is shown once')
    .requiredOption('--owner <owner>', 'whom it belongs to: id or name')
    .action(bind(createKey));
  addAdminOptions(keys.command('list')).description('list the keys').action(bind(listKeys));
  addSettings(addAdminOptions(keys.command('update')))
    .argument('<key>', 'id or prefix')
    .option('--enable', 'switch it on again')
    .option('--disable', 'switch it off for a while')
    .description('change a key, switch it off or on')
    .action(bind(updateKey));
  addAdminOptions(keys.command('rotate'))
    .argument('<key>', 'id or prefix')
    .option(
      '--overlap <hours>',
      `hours that the old secret goes on working; left out: ${DEFAULT_OVERLAP_HOURS}`,
      parseWhole,
    )
    .description('make a new secret for a key, shown once')
    .action(bind(rotateKey));
  addAdminOptions(keys.command('revoke'))
    .argument('<key>', 'id or prefix')
    .description('end a key for good')
    .action(bind(revokeKey));
  addAdminOptions(keys.command('rotate-signing'))
    .option('--immediately', 'do not wait until every service has fetched the new key')
    .description('put another key in place of the one that access tokens are signed with')
    .action(bind(rotateSigning));
};

function addSettings(command: Command): Command {
  return command
    .option('--permission <scope>', 'for example sync:read; may be repeated', collect)
    .option('--partition <grant>', 'branch-12, branch-12:read, "*" or "*:read"; may be repeated', collect)
    .option('--rate <n>', 'requests in a window of RATE_LIMIT_WINDOW_MS (15 minutes)', parseCount)
    .option('--expires <moment>', 'a day or a moment, such as 2027-12-31', parseMoment);
}

export async function createOwner(
  context: Context,
  options: AdminOptions & { name: string; type: string },
): Promise<void> {
  const body = { name: options.name, clientType: options.type };
  const owner = await ask<Owner>(context, options, { method: 'POST', path: '/clients', body });
  if (context.json) context.emit({ owner });
  else context.print(`Created ${context.theme.bold(clean(owner.name))}: ${owner.id}`);
}

export async function listOwners(context: Context, options: AdminOptions): Promise<void> {
  const owners = await findOwners(context, options);
  if (context.json) {
    context.emit({ owners });
    return;
  }
  const rows = owners.map((owner) => [
    owner.name,
    owner.clientType,
    owner.isActive ? 'active' : 'disabled',
    String(owner.apiKeyCount),
    owner.id,
  ]);
  showTable(context, ['name', 'type', 'state', 'keys', 'id'], rows);
}

export async function createKey(context: Context, options: KeyOptions & { owner: string }): Promise<void> {
  if (options.permission === undefined) throw usageError('Give what the key may do: --permission sync:read');
  const owner = await requireOwner(context, options.owner, options);
  const body = { clientId: owner.id, partitions: [], ...settingsOf(options) };
  const made = await ask<Key & { apiKey: string }>(context, options, {
    method: 'POST',
    path: '/keys/create',
    body,
  });
  showNewKey(context, `Made a key for ${context.theme.bold(clean(owner.name))}:\n`, made);
}

export async function listKeys(context: Context, options: AdminOptions): Promise<void> {
  const keys = await findKeys(context, options);
  if (context.json) {
    context.emit({ keys });
    return;
  }
  const rows = keys.map((key) => [
    key.clientName,
    key.prefixes.map(({ prefix }) => prefix).join(' '),
    key.revokedAt !== null ? 'revoked' : key.isActive ? 'active' : 'disabled',
    key.expiresAt?.slice(0, 10) ?? 'never',
    key.lastUsedAt?.slice(0, 16) ?? 'never',
    key.partitions.join(' '),
    key.permissions.join(' '),
  ]);
  const heads = ['owner', 'prefix', 'state', 'expires', 'last use', 'partitions', 'permissions'];
  showTable(context, heads, rows);
}

export async function updateKey(
  context: Context,
  name: string,
  options: KeyOptions & { enable?: boolean; disable?: boolean },
): Promise<void> {
  const { enable, disable } = options;
  if (enable && disable) throw usageError('Give --enable or --disable, not both.');
  const body = {
    ...settingsOf(options),
    ...(enable && { isActive: true }),
    ...(disable && { isActive: false }),
  };
  if (Object.keys(body).length === 0) throw usageError('Say what to change: see --help.');
  const { id } = await requireKey(context, name, options);
  const key = await ask<Key>(context, options, { method: 'PUT', path: `/keys/${id}/update`, body });
  if (context.json) context.emit({ key });
  else context.print(`Changed the key of ${clean(key.clientName)}.`);
}

export async function rotateKey(
  context: Context,
  name: string,
  options: AdminOptions & { overlap?: number },
): Promise<void> {
  const { overlap = DEFAULT_OVERLAP_HOURS } = options;
  const { id } = await requireKey(context, name, options);
  const body = { overlapSeconds: overlap * HOUR_SECONDS };
  const path = `/keys/${id}/rotate`;
  const made = await ask<Key & { apiKey: string }>(context, options, { method: 'POST', path, body });
  showNewKey(context, `A new secret for the key of ${context.theme.bold(clean(made.clientName))}:\n`, made);
  if (!context.json) context.print(`The old one works for ${overlap} h more.`);
}

export async function revokeKey(context: Context, name: string, options: AdminOptions): Promise<void> {
  const { id } = await requireKey(context, name, options);
  const key = await ask<Key>(context, options, { method: 'DELETE', path: `/keys/${id}/revoke` });
  if (context.json) context.emit({ key });
  else context.print(`Revoked the key of ${clean(key.clientName)}: it ends now.`);
}

interface SigningKey {
  kid: string;
  state: 'pending' | 'active';
  signsFrom: string;
}

/** The gateway's own key, not one of a caller. */
export async function rotateSigning(
  context: Context,
  { immediately = false, ...options }: AdminOptions & { immediately?: boolean },
): Promise<void> {
  const call = { method: 'POST', path: '/keys/rotate-signing', body: { immediately } } as const;
  const key = await ask<SigningKey>(context, options, call);
  if (context.json) {
    context.emit({ key });
    return;
  }
  const moment = `${clean(key.signsFrom.slice(0, 16).replace('T', ' '))} UTC`;
  const when =
    key.state === 'active' ? 'signs from now on' : `is published, and signs from about ${moment} on`;
  context.print(`The signing key ${context.theme.bold(clean(key.kid))} ${when}.`);
  context.print('Tokens that were signed before are good until they expire; nobody has to log in again.');
}

function settingsOf({ permission, partition, rate, expires }: KeyOptions): Record<string, unknown> {
  return {
    ...(permission && { permissions: permission }),
    ...(partition && { partitions: partition }),
    ...(rate !== undefined && { rateLimit: rate }),
    ...(expires !== undefined && { expiresAt: expires }),
  };
}

/** What is in `data`: these routes answer `{success, message, data}`. */
async function ask<T>(context: Context, options: AdminOptions, call: AdminCall): Promise<T> {
  return (await callAdmin<{ data: T }>(context, options, call)).data;
}

function findOwners(context: Context, options: AdminOptions): Promise<Owner[]> {
  return findAll<Owner>(context, options, { path: '/clients', name: 'clients' });
}

function findKeys(context: Context, options: AdminOptions): Promise<Key[]> {
  return findAll<Key>(context, options, { path: '/keys/list', name: 'apiKeys' });
}

async function findAll<T>(
  context: Context,
  options: AdminOptions,
  list: { path: string; name: 'clients' | 'apiKeys' },
): Promise<T[]> {
  const items: T[] = [];
  for (let at = 1, pages = 1; at <= pages; at += 1) {
    const call = { method: 'GET', path: `${list.path}?page=${at}&limit=${PAGE}` } as const;
    const page = await ask<Page<T>>(context, options, call);
    items.push(...(page[list.name] ?? []));
    pages = page.pagination.pages;
  }
  return items;
}

/** By id, or by a name that only one has. */
async function requireOwner(context: Context, name: string, options: AdminOptions): Promise<Owner> {
  const owners = await findOwners(context, options);
  const found = owners.filter((owner) => owner.id === name || owner.name === name);
  return requireOne(found, `There is no owner ${name}: make one with create-owner.`, 'the id of the owner');
}

async function requireKey(context: Context, name: string, options: AdminOptions): Promise<Key> {
  const keys = await findKeys(context, options);
  const found = keys.filter(
    ({ id, prefixes }) => id === name || prefixes.some(({ prefix }) => prefix === name),
  );
  return requireOne(found, 'There is no such key: give its id or its prefix.', 'the id of the key');
}

function requireOne<T>(found: readonly T[], nothing: string, instead: string): T {
  const [only, ...others] = found;
  if (only === undefined) throw new CliError(EXIT.failed, 'not_found', nothing);
  if (others.length === 0) return only;
  throw new CliError(EXIT.failed, 'ambiguous', `${found.length} are called so: give ${instead}.`);
}

function showNewKey(context: Context, title: string, made: Key & { apiKey: string }): void {
  if (context.json) {
    const { apiKey, ...key } = made;
    context.emit({ apiKey, key });
    return;
  }
  context.print(title);
  const pairs = [
    ['key', made.apiKey],
    ['permissions', made.permissions.join(' ')],
    ['partitions', made.partitions.join(' ') || 'none: grant one with --partition'],
    ['expires', made.expiresAt ?? 'never'],
  ] as const;
  for (const line of pairLines({ theme: context.theme, columns: undefined }, pairs)) context.print(line);
  context.print(
    `\n${context.theme.yellow('The key is not shown again: store it now.')} It goes into X-API-Key.`,
  );
}

function showTable(context: Context, heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const columns = context.output.isTTY ? context.output.columns : undefined;
  for (const line of table({ theme: context.theme, columns }, heads, rows)) context.print(line);
}
