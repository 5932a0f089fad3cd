import type { Command } from 'commander';
import { addAdminClientCommands } from './admin-clients.ts';
import { addAdminUserCommands } from './admin-users.ts';
import type { AddCommands } from '../program.ts';

export const addAdminCommands: AddCommands = (parent: Command, bind) => {
  const admin = parent.command('admin').description('clients and people, with the admin key');
  addAdminClientCommands(admin, bind);
  addAdminUserCommands(admin, bind);
};
