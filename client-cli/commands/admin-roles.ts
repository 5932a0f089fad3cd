import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { addAdminOptions, collect, parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface RoleOptions extends AdminOptions {
  scope?: string[];
  rate?: number | typeof AS_MEMBERS;
}

interface Role {
  name: string;
  scopes: string[];
  builtIn: boolean;
  people: number;
  rateLimit: number | null;
}

/** Instead of a number: none of its own. */
const AS_MEMBERS = 'members';
const RATE = 'requests of each of its people in a window of RATE_LIMIT_WINDOW_MS; "members": as members';

export const addAdminRoleCommands: AddCommands = (parent: Command, bind) => {
  const roles = parent.command('roles').description('what people may do, by role');
  addAdminOptions(roles.command('list'))
    .description('list the roles, built-in ones first')
    .action(bind(listRoles));
  addAdminOptions(roles.command('create'))
    .argument('<name>', 'for example clerk')
    .option('--scope <scope>', 'what it may do; may be repeated', collect)
    .option('--rate <n>', RATE, parseRate)
    .description('make a role of your own')
    .action(bind((context, name: string, options: RoleOptions) => saveRole(context, 'POST', name, options)));
  addAdminOptions(roles.command('set'))
    .argument('<name>')
    .option('--scope <scope>', 'what it may do from now on; may be repeated', collect)
    .option('--rate <n>', `${RATE}; left out: as it was`, parseRate)
    .description('replace what a role may do; it counts at once')
    .action(bind((context, name: string, options: RoleOptions) => saveRole(context, 'PUT', name, options)));
  addAdminOptions(roles.command('delete'))
    .argument('<name>')
    .description('delete a role that nobody has')
    .action(bind(deleteRole));
};

async function listRoles(context: Context, options: AdminOptions): Promise<void> {
  const call = { method: 'GET', path: '/roles' } as const;
  const { roles } = await callAdmin<{ roles: Role[] }>(context, options, call);
  if (context.json) {
    context.emit({ roles });
    return;
  }
  const rows = roles.map(({ name, builtIn, people, rateLimit, scopes }) => [
    name,
    builtIn ? 'built in' : 'own',
    String(people),
    scopes.join(' '),
    rateLimit === null ? '' : String(rateLimit),
  ]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  for (const line of table(
    { theme: context.theme, columns },
    ['role', '', 'people', 'scopes', 'requests'],
    rows,
  ))
    context.print(line);
}

async function saveRole(
  context: Context,
  method: 'POST' | 'PUT',
  name: string,
  options: RoleOptions,
): Promise<void> {
  const scopes = options.scope ?? [];
  const { rate } = options;
  const limit = rate === undefined ? {} : { rateLimit: rate === AS_MEMBERS ? null : rate };
  const call =
    method === 'POST'
      ? { method, path: '/roles', body: { name, scopes, ...limit } }
      : { method, path: `/roles/${encodeURIComponent(name)}`, body: { scopes, ...limit } };
  const { role } = await callAdmin<{ role: Role }>(context, options, call);
  if (context.json) context.emit({ role });
  else context.print(`${clean(role.name)} may: ${clean(role.scopes.join(' ')) || 'nothing'}.`);
}

async function deleteRole(context: Context, name: string, options: AdminOptions): Promise<void> {
  const call = { method: 'DELETE', path: `/roles/${encodeURIComponent(name)}` } as const;
  await callAdmin(context, options, call);
  if (context.json) context.emit({ deleted: name });
  else context.print(`The role ${clean(name)} is gone.`);
}

function parseRate(value: string): number | typeof AS_MEMBERS {
  return value === AS_MEMBERS ? AS_MEMBERS : parseCount(value);
}
