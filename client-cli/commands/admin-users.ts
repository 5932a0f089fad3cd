import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../failure.ts';
import { addAdminOptions, collect } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

export interface GrantOptions extends AdminOptions {
  email?: string;
  username?: string;
  partition?: string[];
  role?: string;
}

interface Person {
  id: string;
  username: string;
  email: string;
  role: string;
  partitions: string[];
  verified: boolean;
  disabled: boolean;
}

const PAGE = 200;

export const addAdminUserCommands: AddCommands = (parent: Command, bind) => {
  const users = parent.command('users').description('people: roles and partitions');
  addAdminOptions(users.command('list')).description('list the people').action(bind(listUsers));
  addAdminOptions(users.command('grant'))
    .description('set the role of a person, the partitions, or both')
    .option('--email <address>')
    .option('--username <name>')
    .option('--partition <grant>', 'branch-12, branch-12:read or "*"; may be repeated', collect)
    .option('--role <role>', 'owner, admin, operator, auditor, member, or one of your own')
    .action(bind(grantUser));
};

export async function listUsers(context: Context, options: AdminOptions): Promise<void> {
  const people = await findPeople(context, options);
  if (context.json) {
    context.emit({ users: people });
    return;
  }
  const rows = people.map((one) => [
    one.username,
    one.email,
    one.role,
    one.disabled ? 'disabled' : one.verified ? 'active' : 'unverified',
    one.partitions.join(' '),
  ]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  const heads = ['username', 'e-mail', 'role', 'state', 'partitions'];
  for (const line of table({ theme: context.theme, columns }, heads, rows)) context.print(line);
}

/** Replaces the role, the partitions, or both. */
export async function grantUser(context: Context, options: GrantOptions): Promise<void> {
  const { email, username, partition, role } = options;
  if ((email === undefined) === (username === undefined)) throw usageError('Give --email or --username.');
  if (partition === undefined && role === undefined) throw usageError('Give --partition, --role or both.');
  const people = await findPeople(context, options);
  const same = (a: string, b: string | undefined): boolean => a.toLowerCase() === b?.toLowerCase();
  const named = people.filter((one) => same(one.email, email) || same(one.username, username));
  const person = named.find((one) => one.verified) ?? named[0];
  if (!person)
    throw new CliError(EXIT.failed, 'not_found', `There is no ${email ?? username ?? 'such person'}.`);
  const body = {
    ...(role === undefined ? {} : { role }),
    ...(partition === undefined ? {} : { partitions: partition }),
  };
  const call = { method: 'PATCH', path: `/users/${person.id}`, body } as const;
  const { user } = await callAdmin<{ user: Person }>(context, options, call);
  if (context.json) context.emit({ user });
  else {
    const partitions = user.partitions.join(' ') || 'no partition of their own';
    context.print(`${clean(user.username)}: ${clean(user.role)}, ${clean(partitions)}.`);
  }
}

async function findPeople(context: Context, options: AdminOptions): Promise<Person[]> {
  const people: Person[] = [];
  let next: string | null = null;
  do {
    const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`;
    const page: { users: Person[]; next?: string | null } = await callAdmin(context, options, {
      method: 'GET',
      path: `/users?limit=${PAGE}${after}`,
    });
    people.push(...page.users);
    next = page.next ?? null;
  } while (next !== null);
  return people;
}
