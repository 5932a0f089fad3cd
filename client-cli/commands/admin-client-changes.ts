import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { usageError } from '../failure.ts';
import { addAdminOptions, collect, parseCount } from '../options.ts';
import type { Bind } from '../program.ts';
import { clean } from '../terminal-text.ts';
import { requireClient } from './known-clients.ts';
import type { Client } from './known-clients.ts';

interface UpdateOptions extends AdminOptions {
  name?: string;
  partition?: string[];
  /** False: none. */
  partitions: boolean;
  scope?: string[];
  ip?: string[];
  anyIp?: true;
  /** False: no limit of its own. */
  rate?: number | false;
}

/** Switching clients off and on, and changing what they may. */
export function addClientChanges(clients: Command, bind: Bind): void {
  addAdminOptions(clients.command('disable'))
    .argument('<client>', 'client id or name')
    .description('end a client: its tokens, its sockets')
    .action(
      bind((context, name: string, options: AdminOptions) => setDisabled(context, name, options, true)),
    );
  addAdminOptions(clients.command('enable'))
    .argument('<client>', 'client id or name')
    .description('let a disabled client in again')
    .action(
      bind((context, name: string, options: AdminOptions) => setDisabled(context, name, options, false)),
    );
  addAdminOptions(clients.command('update'))
    .argument('<client>', 'client id or name')
    .description('change a client; what is left out stays, and it counts at once')
    .option('--name <name>', 'what it is called')
    .option('--partition <grant>', 'instead of those it has; may be repeated', collect)
    .option('--no-partitions', 'take all of them away')
    .option('--scope <scope>', 'instead of those it has; may be repeated', collect)
    .option('--ip <cidr>', 'only from this address or block; may be repeated', collect)
    .option('--any-ip', 'from any address')
    .option('--rate <n>', 'requests a minute', parseCount)
    .option('--no-rate', 'no limit of its own')
    .action(bind(updateClient));
}

async function setDisabled(
  context: Context,
  name: string,
  options: AdminOptions,
  disabled: boolean,
): Promise<void> {
  const client = await change(context, name, options, { disabled });
  if (context.json) context.emit(client);
  else if (disabled) context.print(`Disabled ${clean(client.name)}: its tokens and its connections end now.`);
  else {
    const proof = (client.secrets ?? []).length === 0 ? 'key' : 'secret';
    context.print(`Enabled ${clean(client.name)}: its ${proof} works again.`);
  }
}

async function updateClient(context: Context, name: string, options: UpdateOptions): Promise<void> {
  const changes = changesOf(options);
  if (Object.keys(changes).length === 0)
    throw usageError('Give what is to change. See: npm run sluice -- admin clients update --help');
  const client = await change(context, name, options, changes);
  if (context.json) {
    context.emit(client);
    return;
  }
  const partitions = clean(client.partitions.join(' ')) || 'no partition';
  context.print(`${clean(client.name)}: ${partitions}; ${clean(client.scopes.join(' ')) || 'no scope'}.`);
}

function changesOf(options: UpdateOptions): Record<string, unknown> {
  const { name, partition, partitions, scope, ip, anyIp, rate } = options;
  return {
    ...(name !== undefined && { name }),
    ...(partition !== undefined && { partitions: partition }),
    ...(!partitions && { partitions: [] }),
    ...(scope !== undefined && { scopes: scope }),
    ...(ip !== undefined && { ipAllowList: ip }),
    ...(anyIp === true && { ipAllowList: [] }),
    ...(rate !== undefined && { ratePerMinute: rate === false ? null : rate }),
  };
}

async function change(
  context: Context,
  name: string,
  options: AdminOptions,
  body: Record<string, unknown>,
): Promise<Client> {
  const { id } = await requireClient(context, name, options);
  const call = { method: 'PATCH', path: `/oauth-clients/${id}`, body } as const;
  return (await callAdmin<{ client: Client }>(context, options, call)).client;
}
