import { ADMIN_KEY, PASSWORD } from './gateway.ts';
import type { Gateway } from './gateway.ts';

export interface Answer {
  status: number;
  body: Record<string, unknown>;
  text: string;
  headers: Headers;
}

export interface Call {
  method?: string;
  headers?: Record<string, string>;
  json?: unknown;
  form?: Record<string, string> | string;
  bearer?: string;
  key?: string;
}

/** One HTTP request; a body makes it a POST. */
export async function call(gateway: Gateway, path: string, request: Call = {}): Promise<Answer> {
  const headers: Record<string, string> = { ...request.headers };
  let body: string | undefined;
  if (request.json !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify(request.json);
  }
  if (request.form !== undefined) {
    headers['content-type'] ??= 'application/x-www-form-urlencoded';
    body = typeof request.form === 'string' ? request.form : new URLSearchParams(request.form).toString();
  }
  if (request.bearer !== undefined) headers['authorization'] = `Bearer ${request.bearer}`;
  if (request.key !== undefined) headers['x-api-key'] = request.key;
  const method = request.method ?? (body === undefined ? 'GET' : 'POST');
  const response = await fetch(new URL(path, gateway.url), {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return { status: response.status, body: parse(text), text, headers: response.headers };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

export interface Person {
  id: string;
  username: string;
  email: string;
}

let people = 0;

/** Signs a new person up; whatever is missing is made up. */
export async function signUp(
  gateway: Gateway,
  person: { username?: string; email?: string; password?: string } = {},
): Promise<Person> {
  people += 1;
  const username = person.username ?? `person${people}`;
  const email = person.email ?? `person${people}@example.com`;
  const json = { username, email, password: person.password ?? PASSWORD };
  const { body } = await call(gateway, '/api/signup', { json });
  return { id: String(body['user_id']), username, email };
}

/** The mails that were "sent" to an address so far, newest first. */
export async function mailsTo(gateway: Gateway, email: string): Promise<{ subject: string; text: string }[]> {
  await gateway.identity.core.jobs.drain();
  await gateway.identity.core.jobs.drain();
  return (gateway.identity.keptMail?.() ?? []).filter((mail) => mail.to === email);
}

export async function codeFor(gateway: Gateway, email: string): Promise<string> {
  const [mail] = await mailsTo(gateway, email);
  return /\b\d{6}\b/.exec(mail?.text ?? '')?.[0] ?? 'none';
}

export async function createPerson(
  gateway: Gateway,
  person: Parameters<typeof signUp>[1] = {},
): Promise<Person> {
  const made = await signUp(gateway, person);
  const code = await codeFor(gateway, made.email);
  await call(gateway, '/api/verify-email', { json: { email: made.email, code } });
  return made;
}

export interface Tokens {
  access: string;
  refresh: string;
}

export async function logIn(gateway: Gateway, username: string, password = PASSWORD): Promise<Tokens> {
  const { body } = await call(gateway, '/api/login', { json: { username, password } });
  return { access: String(body['access_token']), refresh: String(body['refresh_token']) };
}

export interface Client {
  id: string;
  clientId: string;
  secret: string;
  secretId: string;
}

/** Registers an OAuth client with the admin key. */
export async function createClient(
  gateway: Gateway,
  settings: Record<string, unknown> = {},
): Promise<Client> {
  const json = { name: 'Branch 12', partitions: ['branch-12'], ...settings };
  const { body } = await call(gateway, '/api/v1/admin/oauth-clients', { json, key: ADMIN_KEY });
  return {
    id: String((body['client'] as { id?: string } | undefined)?.id),
    clientId: String(body['client_id']),
    secret: String(body['client_secret']),
    secretId: String(body['secretId']),
  };
}

export async function token(
  gateway: Gateway,
  client: Pick<Client, 'clientId' | 'secret'>,
  extra: Record<string, string> = {},
): Promise<Answer> {
  const form = {
    grant_type: 'client_credentials',
    client_id: client.clientId,
    client_secret: client.secret,
    ...extra,
  };
  return call(gateway, '/oauth/token', { form });
}

export async function clientTokens(gateway: Gateway, client: Client): Promise<Tokens> {
  const { body } = await token(gateway, client);
  return { access: String(body['access_token']), refresh: String(body['refresh_token']) };
}

export async function auditRows(
  gateway: Gateway,
  action: string,
): Promise<{ success: boolean; code: string | null; principal: string | null; details: unknown }[]> {
  return gateway.db.sql('SELECT * FROM audit_logs WHERE action = $1 ORDER BY id', [action]);
}
