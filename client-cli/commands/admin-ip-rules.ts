import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';
import { addAdminOptions } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface RuleOptions extends AdminOptions {
  note?: string;
  force?: boolean;
}

interface Rule {
  id: string;
  cidr: string;
  action: 'allow' | 'deny';
  note: string | null;
}

const FORCE = 'also when it keeps out the address you come from';

export const addAdminIpRuleCommands: AddCommands = (parent: Command, bind) => {
  const rules = parent
    .command('ip-rules')
    .description('addresses that come in, and those that stay out; it counts at once');
  addAdminOptions(rules.command('list')).description('list the rules').action(bind(listRules));
  for (const action of ['allow', 'deny'] as const) {
    addAdminOptions(rules.command(action))
      .argument('<network>', 'for example 203.0.113.0/24 or 2001:db8::/32')
      .option('--note <text>', 'what it is for')
      .option('--force', FORCE)
      .description(
        action === 'allow'
          ? 'let it in; from the first such rule on, nobody from elsewhere'
          : 'keep it out, whatever else is allowed',
      )
      .action(
        bind((context, network: string, options: RuleOptions) => addRule(context, action, network, options)),
      );
  }
  addAdminOptions(rules.command('delete'))
    .argument('<rule>', 'id or network')
    .option('--force', FORCE)
    .description('take a rule away')
    .action(bind(deleteRule));
};

async function listRules(context: Context, options: AdminOptions): Promise<void> {
  const rules = await findRules(context, options);
  if (context.json) {
    context.emit({ rules });
    return;
  }
  const rows = rules.map(({ cidr, action, note, id }) => [action, cidr, clean(note ?? ''), id]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  for (const line of table({ theme: context.theme, columns }, ['', 'network', 'note', 'id'], rows))
    context.print(line);
}

async function addRule(
  context: Context,
  action: Rule['action'],
  network: string,
  { note, force, ...options }: RuleOptions,
): Promise<void> {
  const body = { cidr: network, action, ...(note === undefined ? {} : { note }), ...forced(force) };
  const call = { method: 'POST', path: '/ip-rules', body } as const;
  const { rule } = await callAdmin<{ rule: Rule }>(context, options, call);
  if (context.json) context.emit({ rule });
  else
    context.print(`${clean(rule.cidr)} ${rule.action === 'allow' ? 'comes in' : 'stays out'} from now on.`);
}

async function deleteRule(context: Context, name: string, { force, ...options }: RuleOptions): Promise<void> {
  const rule = (await findRules(context, options)).find(({ id, cidr }) => id === name || cidr === name);
  if (!rule) throw new CliError(EXIT.failed, 'not_found', `There is no rule ${name}.`);
  await callAdmin(context, options, { method: 'DELETE', path: `/ip-rules/${rule.id}`, body: forced(force) });
  if (context.json) context.emit({ deleted: rule.id });
  else context.print(`The rule about ${clean(rule.cidr)} is gone.`);
}

async function findRules(context: Context, options: AdminOptions): Promise<Rule[]> {
  const call = { method: 'GET', path: '/ip-rules' } as const;
  return (await callAdmin<{ rules: Rule[] }>(context, options, call)).rules;
}

function forced(force: boolean | undefined): { force?: true } {
  return force === true ? { force: true } : {};
}
