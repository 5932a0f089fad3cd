import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AdminOptions } from '../admin-api.ts';
import { callAdmin } from '../admin-api.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';
import { addAdminOptions, collect, parseCount, parseWhole } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { agentSnippet, pairLines } from '../render.ts';
import { table } from '../table.ts';
import { clean } from '../terminal-text.ts';
import { addClientChanges } from './admin-client-changes.ts';
import { findClients, requireClient } from './known-clients.ts';
import type { Client } from './known-clients.ts';

export interface CreateOptions extends AdminOptions {
  name: string;
  scope?: string[];
  partition?: string[];
  ip?: string[];
  rate?: number;
  jwks?: string;
}

const DEFAULT_SCOPES = ['sync:read', 'sync:write', 'config:read'];
const DEFAULT_OVERLAP_HOURS = 24;
const HOUR_SECONDS = 3_600;

export const addAdminClientCommands: AddCommands = (parent: Command, bind) => {
  const clients = parent.command('clients').description('OAuth clients: branch agents and services');
  addAdminOptions(clients.command('create'))
    .description('register a client; its secret is shown once')
    .requiredOption('--name <name>', 'for example "Branch 12"')
    .option('--partition <grant>', 'branch-12, branch-12:read, "*" or "*:read"; may be repeated', collect)
    .option('--scope <scope>', `may be repeated; left out: ${DEFAULT_SCOPES.join(' ')}`, collect)
    .option('--ip <cidr>', 'only from this address or block; may be repeated', collect)
    .option('--rate <n>', 'requests a minute', parseCount)
    .option(
      '--jwks <file>',
      'its public key (PEM, JWK) or keys (a JWK Set): it proves itself by a key and gets no secret',
    )
    .action(bind(createClient));
  addAdminOptions(clients.command('list')).description('list the clients').action(bind(listClients));
  addClientChanges(clients, bind);
  addAdminOptions(clients.command('rotate'))
    .argument('<client>', 'client id or name')
    .option(
      '--overlap <hours>',
      `hours that the old secrets go on working; left out: ${DEFAULT_OVERLAP_HOURS}`,
      parseWhole,
    )
    .description('make a new secret, shown once')
    .action(bind(rotateClient));
};

/** Registers a client and shows its secret, this once, with an agent configuration to copy. */
export async function createClient(context: Context, options: CreateOptions): Promise<void> {
  const { adminKeyFile, partition = [], scope = DEFAULT_SCOPES } = options;
  const { client_id, client_secret, client } = await callAdmin<{
    client_id: string;
    client_secret?: string;
    client?: Client;
  }>(
    context,
    { ...(adminKeyFile === undefined ? {} : { adminKeyFile }) },
    { method: 'POST', path: '/oauth-clients', body: await registrationOf(context, options) },
  );
  const { url } = context;
  await remarkNamesakes(context, options, client_id);
  if (context.json) {
    context.emit({ client_id, ...(client_secret && { client_secret }), url, ...(client && { client }) });
    return;
  }
  context.print(`Created the client ${context.theme.bold(clean(options.name))}.\n`);
  showPairs(context, [
    ['client id', client_id],
    ['client secret', client_secret ?? 'none: it proves itself by its key'],
    ['scopes', scope.join(' ')],
    ['partitions', partition.join(' ') || 'none: grant one with --partition'],
  ]);
  const proof = client_secret === undefined ? 'key' : 'secret';
  showSnippet(context, { gateway: url, clientId: client_id, proof }, partition);
}

/** Names need not differ, but whoever reads the list of branches then cannot tell them apart. */
async function remarkNamesakes(context: Context, options: CreateOptions, clientId: string): Promise<void> {
  const { name } = options;
  // the client is there, and its secret is shown only now: whatever this look brings
  const clients = await findClients(context, options).catch(() => []);
  const others = clients.filter((one) => one.name === name && !one.disabled && one.client_id !== clientId);
  const ids = others.map((one) => clean(one.client_id)).join(', ');
  if (ids !== '') context.remark(`warning: ${ids} is called ${clean(name)} too; this is another client.`);
}

async function registrationOf(context: Context, options: CreateOptions): Promise<Record<string, unknown>> {
  const { name, tenantId, scope = DEFAULT_SCOPES, partition = [], ip = [], rate, jwks } = options;
  return {
    name,
    ...(tenantId === undefined ? {} : { tenantId }),
    scopes: scope,
    partitions: partition,
    ipAllowList: ip,
    ratePerMinute: rate ?? null,
    ...(jwks === undefined
      ? {}
      : { jwks: await readKeys(context, jwks), token_endpoint_auth_method: 'private_key_jwt' }),
  };
}

function showSnippet(
  context: Context,
  agent: { gateway: string; clientId: string; proof: 'secret' | 'key' },
  grants: readonly string[],
): void {
  const { theme } = context;
  if (agent.proof === 'secret') {
    context.print(
      `\n${theme.yellow('The secret is not shown again: store it now, in a file beside the agent’s configuration:')}`,
    );
    context.print('  (umask 077 && cat > branch.secret)      # paste it, Enter, Ctrl-D');
  }
  context.print('\nInto agent.json (agent/example-config.json is complete):\n');
  // An agent writes one partition: the first that it may write.
  const partition = grants.find((grant) => !grant.startsWith('*') && !grant.endsWith(':read'));
  const lines = agentSnippet({ ...agent, ...(partition !== undefined && { partition }) });
  for (const line of lines) context.print(line);
  const receives = grants.some((grant) => grant !== partition);
  if (partition !== undefined && !receives)
    context.print(
      `\n${theme.yellow('It receives nothing from other branches:')} that takes --partition '*:read' as well.`,
    );
}

/** The gateway says what is wrong with the keys; here only that they can be read. */
async function readKeys({ environment }: Context, file: string): Promise<unknown> {
  const path = resolve(environment.workingDir, file);
  const fail = (why: string): CliError => new CliError(EXIT.failed, 'no_keys', `${path} ${why}.`);
  const text = await readFile(path, 'utf8').catch(() => {
    throw fail('cannot be read');
  });
  if (text.includes('-----BEGIN ')) return { keys: [publicKeyOf(text, fail)] };
  try {
    const parsed = JSON.parse(text) as object;
    return 'kty' in parsed ? { keys: [parsed] } : parsed;
  } catch {
    throw fail('is neither PEM nor JSON');
  }
}

/** As OpenSSL writes it (openssl pkey -pubout). The private half is never sent anywhere. */
function publicKeyOf(pem: string, fail: (why: string) => CliError): object {
  if (pem.includes('PRIVATE KEY-----'))
    throw fail('is the private key: register its public half (openssl pkey -in KEY -pubout -out KEY.pub)');
  try {
    const key = createPublicKey(pem);
    // A PEM names no algorithm, and RSA has two: this is the one that privateKeyJwt signs with
    return { ...key.export({ format: 'jwk' }), ...(key.asymmetricKeyType === 'rsa' && { alg: 'PS256' }) };
  } catch {
    throw fail('cannot be read as a public key');
  }
}

export async function listClients(context: Context, options: AdminOptions): Promise<void> {
  const clients = await findClients(context, options);
  if (context.json) {
    context.emit({ clients });
    return;
  }
  const rows = clients.map((client) => [
    client.name,
    client.client_id,
    client.disabled ? 'disabled' : 'active',
    client.partitions.join(' '),
    client.scopes.join(' '),
  ]);
  const columns = context.output.isTTY ? context.output.columns : undefined;
  const heads = ['name', 'client id', 'state', 'partitions', 'scopes'];
  for (const line of table({ theme: context.theme, columns }, heads, rows)) context.print(line);
}

export async function rotateClient(
  context: Context,
  name: string,
  options: AdminOptions & { overlap?: number },
): Promise<void> {
  const { overlap = DEFAULT_OVERLAP_HOURS } = options;
  const client = await requireClient(context, name, options);
  const body = { overlapSeconds: overlap * HOUR_SECONDS };
  const made = await callAdmin<{ client_secret: string }>(context, options, {
    method: 'POST',
    path: `/oauth-clients/${client.id}/secrets`,
    body,
  });
  if (client.disabled)
    context.remark(
      `warning: ${clean(client.name)} is disabled, and its new secret lets nobody in: npm run sluice -- admin clients enable ${client.client_id}`,
    );
  if (context.json) {
    context.emit({ client_id: client.client_id, client_secret: made.client_secret, overlapHours: overlap });
    return;
  }
  context.print(`A new secret for ${context.theme.bold(clean(client.name))}:\n`);
  showPairs(context, [
    ['client id', client.client_id],
    ['client secret', made.client_secret],
  ]);
  context.print(
    `\n${context.theme.yellow('It is not shown again.')} The old one works for ${overlap} h more.`,
  );
}

function showPairs(context: Context, pairs: readonly (readonly [string, string])[]): void {
  for (const line of pairLines({ theme: context.theme, columns: undefined }, pairs)) context.print(line);
}
