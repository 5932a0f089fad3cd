import type { Command } from 'commander';
import { addAdminClientCommands } from './admin-clients.ts';
import { addAdminInvitationCommands } from './admin-invitations.ts';
import { addAdminIpRuleCommands } from './admin-ip-rules.ts';
import { addAdminKeyCommands } from './admin-keys.ts';
import { addAdminRoleCommands } from './admin-roles.ts';
import { addAdminTenantCommands } from './admin-tenants.ts';
import { addAdminUserCommands } from './admin-users.ts';
import type { AddCommands } from '../program.ts';

export const addAdminCommands: AddCommands = (parent: Command, bind) => {
  const admin = parent.command('admin').description('clients, API keys and people, with the admin key');
  addAdminClientCommands(admin, bind);
  addAdminKeyCommands(admin, bind);
  addAdminUserCommands(admin, bind);
  addAdminInvitationCommands(admin, bind);
  addAdminRoleCommands(admin, bind);
  addAdminIpRuleCommands(admin, bind);
  addAdminTenantCommands(admin, bind);
};
