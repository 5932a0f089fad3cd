import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { addKeyOption, parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface Tenant {
  id: number;
  name: string;
}

export const addAdminTenantCommands: AddCommands = (parent: Command, bind) => {
  const tenants = parent.command('tenants').description('organisations, and what they are called');
  addKeyOption(tenants.command('list'))
    .description('list the tenants; without the admin key your own')
    .action(bind(listTenants));
  addKeyOption(tenants.command('create'))
    .argument('<name>', 'for example "Depot Tirana"')
    .description('make a tenant; with the admin key only')
    .action(bind(createTenant));
  addKeyOption(tenants.command('rename'))
    .argument('<tenant>', 'its number', parseCount)
    .argument('<name>', 'what invitations and mails call it')
    .description('name a tenant')
    .action(bind(renameTenant));
};

async function listTenants(context: Context, options: AdminOptions): Promise<void> {
  const call = { method: 'GET', path: '/tenants' } as const;
  const { tenants } = await callAdmin<{ tenants: Tenant[] }>(context, options, call);
  if (context.json) {
    context.emit({ tenants });
    return;
  }
  const rows = tenants.map(({ id, name }) => [String(id), name]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  for (const line of table({ theme: context.theme, columns }, ['number', 'name'], rows)) context.print(line);
}

async function createTenant(context: Context, name: string, options: AdminOptions): Promise<void> {
  const call = { method: 'POST', path: '/tenants', body: { name } } as const;
  const { tenant } = await callAdmin<{ tenant: Tenant }>(context, options, call);
  if (context.json) context.emit({ tenant });
  else context.print(`Created the tenant ${clean(tenant.name)}: its number is ${tenant.id}.`);
}

async function renameTenant(
  context: Context,
  id: number,
  name: string,
  options: AdminOptions,
): Promise<void> {
  const call = { method: 'PATCH', path: `/tenants/${id}`, body: { name } } as const;
  const { tenant } = await callAdmin<{ tenant: Tenant }>(context, options, call);
  if (context.json) context.emit({ tenant });
  else context.print(`Tenant ${tenant.id} is called ${clean(tenant.name)} now.`);
}
