import { z } from 'zod';
import type { Session } from '../../../sdk/index.ts';

/** What administrators ask and do about people, clients and devices of their organisation. */

const person = z.object({
  id: z.string(),
  username: z.string(),
  displayName: z.string().nullish(),
  email: z.string(),
  role: z.string(),
  partitions: z.array(z.string()),
  verified: z.boolean(),
  disabled: z.boolean(),
});
const client = z.object({
  id: z.string(),
  client_id: z.string(),
  name: z.string(),
  partitions: z.array(z.string()),
  disabled: z.boolean(),
});
const device = z.object({
  deviceId: z.string(),
  name: z.string().nullish(),
  platform: z.string().nullish(),
  userAgent: z.string().nullish(),
  partitions: z.array(z.string()),
  isActive: z.boolean(),
  createdAt: z.string(),
  lastSeen: z.string().nullish(),
  activeSessions: z.number(),
});
const people = z.object({ users: z.array(person), next: z.string().nullish() });
const devices = z.object({
  data: z.object({ devices: z.array(device), pagination: z.object({ total: z.number() }) }),
});
const stats = z.object({
  buckets: z.array(
    z.object({ at: z.string(), attempts: z.number(), failures: z.number(), tokens_issued: z.number() }),
  ),
});

export type PersonAccount = z.infer<typeof person>;
export type ClientAccount = z.infer<typeof client>;
export type AnonymousDevice = z.infer<typeof device>;
export type LoginCounts = z.infer<typeof stats>['buckets'];
export type Administration = ReturnType<typeof createAdministration>;

const BASE = '/api/v1/admin';
const PAGE = 200;

export function createAdministration(ask: Session['request']) {
  async function allPeople(after?: string): Promise<PersonAccount[]> {
    const from = after === undefined ? '' : `&after=${after}`;
    const { users, next } = people.parse(await ask('GET', `${BASE}/users?limit=${PAGE}${from}`));
    return typeof next === 'string' ? [...users, ...(await allPeople(next))] : users;
  }
  return {
    people: () => allPeople(),
    switchPerson: (id: string, disabled: boolean) => ask('PATCH', `${BASE}/users/${id}`, { disabled }),
    clients: async () =>
      z.object({ clients: z.array(client) }).parse(await ask('GET', `${BASE}/oauth-clients`)).clients,
    switchClient: (id: string, disabled: boolean) =>
      ask('PATCH', `${BASE}/oauth-clients/${id}`, { disabled }),
    /** The newest. */
    devices: async () => {
      const { data } = devices.parse(await ask('GET', '/api/v1/admin/devices?limit=50'));
      return { devices: data.devices, total: data.pagination.total };
    },
    switchDevice: (id: string, disabled: boolean) =>
      ask('PATCH', `${BASE}/devices/${id}`, { isActive: !disabled }),
    logins: async (bucket: 'hour' | 'day') =>
      stats.parse(await ask('GET', `/auth/stats?bucket=${bucket}`)).buckets,
  };
}

/** Branches that somebody may be let see: those that a client writes. */
export function branchesOf(clients: readonly ClientAccount[]): string[] {
  const granted = clients.filter(({ disabled }) => !disabled).flatMap(({ partitions }) => partitions);
  const named = granted.filter((grant) => !grant.startsWith('*')).map((grant) => grant.replace(/:read$/, ''));
  return [...new Set(named)].sort();
}
