import { setTimeout as sleep } from 'node:timers/promises';

/** What an administrator does with the admin key, and the mail that was printed instead of sent. */
export interface Admin {
  codeFor: (email: string, but?: string) => Promise<string>;
  inviteFor: (email: string) => Promise<string>;
  changeUser: (username: string, changes: Record<string, unknown>) => Promise<void>;
  registerClient(name: string): Promise<{ clientId: string; clientSecret: string }>;
}

/** Newest first. */
interface Mail {
  to: string;
  text: string;
}

interface Users {
  users: { id: string; username: string }[];
}

interface Registered {
  client_id: string;
  client_secret: string;
}

export function createAdmin(url: string, key: string): Admin {
  async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(url + path, {
      method,
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Mail is sent by a job, behind the answer to what asked for it. */
  async function mailed(
    email: string,
    what: string,
    read: (mail: Mail) => string | undefined,
  ): Promise<string> {
    for (let tries = 0; tries < 100; tries += 1) {
      const { mails } = (await (await fetch(`${url}/dev/mail`)).json()) as { mails: Mail[] };
      const found = mails.filter(({ to }) => to === email).map(read);
      const newest = found.find((one) => one !== undefined);
      if (newest !== undefined) return newest;
      await sleep(50);
    }
    throw new Error(`no mail for ${email} with ${what}`);
  }

  return {
    codeFor: (email, but) =>
      mailed(email, `the code after ${but ?? 'none'}`, ({ text }) =>
        [...text.matchAll(/(?<!\d)\d{6}(?!\d)/g)].map(([code]) => code).find((code) => code !== but),
      ),
    inviteFor: (email) => mailed(email, 'an invitation', ({ text }) => /\S+\/invite#\S+/.exec(text)?.[0]),
    async changeUser(username, changes) {
      const { users } = await call<Users>('GET', '/api/v1/admin/users?limit=200');
      const person = users.find((one) => one.username === username);
      if (!person) throw new Error(`there is no ${username}`);
      await call('PATCH', `/api/v1/admin/users/${person.id}`, changes);
    },
    async registerClient(name) {
      const body = { name, scopes: ['sync:read', 'sync:write'], partitions: ['*'] };
      const made = await call<Registered>('POST', '/api/v1/admin/oauth-clients', body);
      return { clientId: made.client_id, clientSecret: made.client_secret };
    },
  };
}
