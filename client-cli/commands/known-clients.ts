import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';

/** An OAuth client as administrators see it. */
export interface Client {
  id: string;
  client_id: string;
  tenantId: number;
  name: string;
  scopes: string[];
  partitions: string[];
  ipAllowList: string[];
  ratePerMinute: number | null;
  disabled: boolean;
  secrets?: { id: string; expiresAt: string | null }[];
}

export async function findClients(context: Context, options: AdminOptions): Promise<Client[]> {
  const call = { method: 'GET', path: '/oauth-clients' } as const;
  return (await callAdmin<{ clients: Client[] }>(context, options, call)).clients;
}

/** By client id, or by a name that only one client has. */
export async function requireClient(context: Context, name: string, options: AdminOptions): Promise<Client> {
  const clients = await findClients(context, options);
  const byId = clients.find((client) => client.client_id === name || client.id === name);
  const byName = clients.filter((client) => client.name === name);
  if (byId) return byId;
  const [only, ...others] = byName;
  if (only && others.length === 0) return only;
  const message = only
    ? `${byName.length} clients are called ${name}: give the client id.`
    : `There is no client ${name}.`;
  throw new CliError(EXIT.failed, only ? 'ambiguous' : 'not_found', message);
}
