import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';
import { addAdminOptions, collect } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';

interface InviteOptions extends AdminOptions {
  email: string;
  role?: string;
  partition?: string[];
}

interface Invitation {
  id: string;
  email: string;
  role: string;
  partitions: string[];
  state: string;
  expiresAt: string;
}

export const addAdminInvitationCommands: AddCommands = (parent: Command, bind) => {
  const invitations = parent.command('invitations').description('places for people, mailed to an address');
  addAdminOptions(invitations.command('create'))
    .description('invite somebody; the link goes by mail, and is shown to nobody else')
    .requiredOption('--email <address>')
    .option('--role <role>', 'what the person will be; left out: member')
    .option('--partition <grant>', 'branch-12, branch-12:read or "*"; may be repeated', collect)
    .action(bind(createInvitation));
  addAdminOptions(invitations.command('list'))
    .description('list the newest invitations')
    .action(bind(listInvitations));
  addAdminOptions(invitations.command('withdraw'))
    .argument('<invitation>', 'id or address')
    .description('end an invitation that nobody has accepted')
    .action(bind(withdrawInvitation));
};

async function createInvitation(context: Context, options: InviteOptions): Promise<void> {
  const { email, role, partition } = options;
  const body = {
    email,
    ...(role === undefined ? {} : { role }),
    ...(partition === undefined ? {} : { partitions: partition }),
  };
  const call = { method: 'POST', path: '/invitations', body } as const;
  const { invitation } = await callAdmin<{ invitation: Invitation }>(context, options, call);
  if (context.json) context.emit({ invitation });
  else {
    const { expiresAt } = invitation;
    context.print(
      `Invited ${clean(invitation.email)} as ${clean(invitation.role)}; the link is good until ${clean(expiresAt)}.`,
    );
  }
}

async function listInvitations(context: Context, options: AdminOptions): Promise<void> {
  const invitations = await findInvitations(context, options);
  if (context.json) {
    context.emit({ invitations });
    return;
  }
  const rows = invitations.map((one) => [
    one.email,
    one.role,
    one.state,
    one.expiresAt,
    one.partitions.join(' '),
  ]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  const heads = ['e-mail', 'role', 'state', 'good until', 'partitions'];
  for (const line of table({ theme: context.theme, columns }, heads, rows)) context.print(line);
}

async function withdrawInvitation(context: Context, name: string, options: AdminOptions): Promise<void> {
  const open = (await findInvitations(context, options)).filter(({ state }) => state === 'open');
  const found = open.find(({ id, email }) => id === name || email.toLowerCase() === name.toLowerCase());
  if (!found) throw new CliError(EXIT.failed, 'not_found', `There is no open invitation ${name}.`);
  await callAdmin(context, options, { method: 'DELETE', path: `/invitations/${found.id}` });
  if (context.json) context.emit({ withdrawn: found.id });
  else context.print(`The invitation of ${clean(found.email)} is withdrawn.`);
}

async function findInvitations(context: Context, options: AdminOptions): Promise<Invitation[]> {
  const call = { method: 'GET', path: '/invitations' } as const;
  return (await callAdmin<{ invitations: Invitation[] }>(context, options, call)).invitations;
}
