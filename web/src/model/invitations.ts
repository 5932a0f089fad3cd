import { z } from 'zod';
import type { Session } from '../../../sdk/index.ts';

/** What administrators ask about invitations. */

const invitation = z.object({
  id: z.string(),
  email: z.string(),
  role: z.string(),
  partitions: z.array(z.string()),
  expiresAt: z.string(),
  state: z.enum(['open', 'accepted', 'withdrawn', 'expired']),
});
export type Invitation = z.infer<typeof invitation>;

const role = z.object({ name: z.string() });
/** Not for people: what machines and anonymous devices have. */
const OF_MACHINES = new Set(['service', 'anonymous']);

export function createInvitations(ask: Session['request']) {
  const path = '/api/v1/admin/invitations';
  return {
    list: async () =>
      z.object({ invitations: z.array(invitation) }).parse(await ask('GET', path)).invitations,
    roles: async () => {
      const { roles } = z.object({ roles: z.array(role) }).parse(await ask('GET', '/api/v1/admin/roles'));
      return roles.map(({ name }) => name).filter((name) => !OF_MACHINES.has(name));
    },
    invite: (given: { email: string; role: string; partitions: string[] }) => ask('POST', path, given),
    withdraw: (id: string) => ask('DELETE', `${path}/${id}`),
  };
}
