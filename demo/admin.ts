/** What the demo asks of the gateway as an administrator and as a newcomer, over HTTP like anybody else. */

export interface Credentials {
  clientId: string;
  clientSecret: string;
}

/** Registers an OAuth client with the given partitions, such as `branch-1` and `*:read`. */
export async function registerClient(
  gateway: { url: string; adminKey: string },
  name: string,
  partitions: readonly string[],
): Promise<Credentials> {
  const answer = await post(gateway.url, '/api/v1/admin/oauth-clients', {
    headers: { 'X-API-Key': gateway.adminKey },
    body: { name, tenantId: 1, scopes: ['sync:read', 'sync:write'], partitions },
  });
  return { clientId: String(answer['client_id']), clientSecret: String(answer['client_secret']) };
}

/** Signs the first account up, with the code from the mail that the gateway keeps; it becomes the owner. */
export async function signUpOwner(
  url: string,
  account: { username: string; email: string; password: string },
): Promise<void> {
  await post(url, '/api/signup', { body: account });
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const mails = await (await fetch(`${url}/dev/mail`)).text();
    const code = /\bcode is (\d{6})/.exec(mails)?.[1];
    if (code !== undefined) {
      await post(url, '/api/verify-email', { body: { email: account.email, code } });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the code for the demo account did not come');
}

async function post(
  url: string,
  path: string,
  request: { headers?: Record<string, string>; body: unknown },
): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...request.headers },
    body: JSON.stringify(request.body),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok)
    throw new Error(
      `${path}: ${typeof answer['message'] === 'string' ? answer['message'] : String(response.status)}`,
    );
  return answer;
}
