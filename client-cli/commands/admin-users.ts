import type { Command } from 'commander';
import type { AdminCall, AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import { requireLogin } from '../connected.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT, usageError } from '../failure.ts';
import { addAdminOptions, collect } from '../options.ts';
import { withFreshProof } from '../password-login.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface Named {
  email?: string;
  username?: string;
}

export interface GrantOptions extends AdminOptions, Named {
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
  for (const disabled of [true, false])
    addAdminOptions(users.command(disabled ? 'disable' : 'enable'))
      .description(
        disabled
          ? 'keep somebody out: no login any more, and every session ends'
          : 'let somebody who is disabled, or has closed the account, log in again',
      )
      .option('--email <address>')
      .option('--username <name>')
      .action(bind((context, options: AdminOptions & Named) => setDisabled(context, options, disabled)));
  users
    .command('remove-second-factors')
    .description(
      'turn off the second factor of somebody who has lost it; ends their sessions; not with a key',
    )
    .option('--email <address>')
    .option('--username <name>')
    .action(bind(removeSecondFactors));
};

export async function listUsers(context: Context, options: AdminOptions): Promise<void> {
  const people = await findPeople((call) => callAdmin(context, options, call));
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
  const { partition, role } = options;
  requireOneName(options);
  if (partition === undefined && role === undefined) throw usageError('Give --partition, --role or both.');
  const person = findNamed(await findPeople((call) => callAdmin(context, options, call)), options);
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

async function setDisabled(
  context: Context,
  options: AdminOptions & Named,
  disabled: boolean,
): Promise<void> {
  requireOneName(options);
  const person = findNamed(await findPeople((call) => callAdmin(context, options, call)), options);
  const call = { method: 'PATCH', path: `/users/${person.id}`, body: { disabled } } as const;
  const { user } = await callAdmin<{ user: Person }>(context, options, call);
  const words = disabled
    ? 'is disabled: no login any more, and every session has ended.'
    : 'may log in again.';
  if (context.json) context.emit({ user });
  else context.print(`${clean(user.username)} ${words}`);
}

interface Removed {
  removed: { totp: boolean; passkeys: number };
  ended: number;
}

/** As whoever is logged in: a key is nobody who could prove anew who they are. */
export async function removeSecondFactors(context: Context, named: Named): Promise<void> {
  requireOneName(named);
  await requireLogin(context);
  const asPerson: Ask = ({ method, path, body }) =>
    context.session.request(method, `/api/v1/admin${path}`, body);
  const person = findNamed(await findPeople(asPerson), named);
  const path = `/users/${person.id}/second-factors`;
  const { removed, ended } = await withFreshProof(context, () =>
    asPerson<Removed>({ method: 'DELETE', path }),
  );
  if (context.json) context.emit({ user: person.id, removed, ended });
  else {
    const sessions = `${ended} ${ended === 1 ? 'session has' : 'sessions have'} ended`;
    context.print(`${clean(person.username)} logs in with the password alone now; ${sessions}.`);
  }
}

function requireOneName({ email, username }: Named): void {
  if ((email === undefined) === (username === undefined)) throw usageError('Give --email or --username.');
}

/** One who is verified, where there are several. Throws CliError. */
function findNamed(people: readonly Person[], { email, username }: Named): Person {
  const same = (a: string, b: string | undefined): boolean => a.toLowerCase() === b?.toLowerCase();
  const named = people.filter((one) => same(one.email, email) || same(one.username, username));
  const person = named.find((one) => one.verified) ?? named[0];
  if (person) return person;
  throw new CliError(EXIT.failed, 'not_found', `There is no ${email ?? username ?? 'such person'}.`);
}

/** Calls an administrative route. */
type Ask = <T>(call: AdminCall) => Promise<T>;

async function findPeople(ask: Ask): Promise<Person[]> {
  const people: Person[] = [];
  let next: string | null = null;
  do {
    const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`;
    const path: string = `/users?limit=${PAGE}${after}`;
    const page = await ask<{ users: Person[]; next?: string | null }>({ method: 'GET', path });
    people.push(...page.users);
    next = page.next ?? null;
  } while (next !== null);
  return people;
}
