import { randomInt, randomUUID } from 'node:crypto';
import { Refused, requireFresh, requireSession, textOf, type Exchange, type Routes } from './exchange.ts';
import { newToken, type People, type Person } from './people.ts';
import type { Post } from './post.ts';

interface Invitation {
  id: string;
  email: string;
  role: string;
  partitions: unknown;
  expiresAt: string;
  state: string;
}

export function invitationRoutes(people: People, post: Post, url: () => string): Routes {
  const invitations = new Map<string, Invitation>();
  const requireOpen = (exchange: Exchange): Invitation => {
    const invitation = invitations.get(textOf(exchange, 'token'));
    if (invitation?.state !== 'open') throw new Refused('invalid_invitation');
    return invitation;
  };
  const path = '/api/v1/admin/invitations';
  return {
    'GET /api/v1/admin/roles': () => ({
      roles: ['owner', 'admin', 'auditor', 'member'].map((name) => ({ name })),
    }),
    [`GET ${path}`]: () => ({ invitations: [...invitations.values()] }),
    [`POST ${path}`]: (exchange) => {
      const { partitions } = exchange.body;
      const [email, role, token] = [textOf(exchange, 'email'), textOf(exchange, 'role'), newToken()];
      const expiresAt = new Date(Date.now() + 7 * 86_400_000).toISOString();
      const invitation = { id: randomUUID(), email, role, partitions, expiresAt, state: 'open' };
      invitations.set(token, invitation);
      post.send(email, `${url()}/invite#${token}`);
      return { invitation };
    },
    [`DELETE ${path}/:id`]: ({ id }) => {
      for (const invitation of invitations.values()) if (invitation.id === id) invitation.state = 'withdrawn';
      return { success: true };
    },
    'POST /api/invitations/look': (exchange) => {
      const { email, role } = requireOpen(exchange);
      return { email, role, tenant: 'default', tenant_id: 1 };
    },
    'POST /api/invitations/accept': (exchange) => {
      const invitation = requireOpen(exchange);
      const [username, password] = [textOf(exchange, 'username'), textOf(exchange, 'password')];
      if (people.byName(username)) throw new Refused('username_taken');
      invitation.state = 'accepted';
      const person = people.add({ username, password, email: invitation.email });
      Object.assign(person, { verified: true, role: invitation.role });
      return { success: true };
    },
  };
}

const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';

interface Asking {
  deviceCode: string;
  at: string;
  state: 'authorization_pending' | 'access_denied' | 'approved';
}

/** `tell`: the open pages of a person. */
export function terminalRoutes(people: People, tell: (person: Person, body: unknown) => void): Routes {
  const asking = new Map<string, Asking>();
  const pending = (userCode: string): Asking => {
    const found = asking.get(userCode);
    if (found?.state !== 'authorization_pending') throw new Refused('invalid_code');
    return found;
  };
  return {
    'POST /oauth/device_authorization': (exchange) => {
      const letters = Array.from({ length: 8 }, () => LETTERS[randomInt(LETTERS.length)] ?? '').join('');
      const userCode = `${letters.slice(0, 4)}-${letters.slice(4)}`;
      const deviceCode = newToken();
      asking.set(userCode, { deviceCode, at: new Date().toISOString(), state: 'authorization_pending' });
      const person = people.byName(textOf(exchange, 'login_hint'));
      if (person) tell(person, { user_code: userCode, client: 'Sluice terminal client', scopes: null });
      return { device_code: deviceCode, user_code: userCode, expires_in: 600, interval: 5 };
    },
    'POST /oauth/token': (exchange) => {
      const code = textOf(exchange, 'device_code');
      const found = [...asking.values()].find(({ deviceCode }) => deviceCode === code);
      if (found?.state === 'approved') return { access_token: newToken(), token_type: 'Bearer' };
      return { error: found?.state ?? 'invalid_grant' };
    },
    'GET /api/device/:id': (exchange) => {
      requireSession(people, exchange);
      const { at } = pending(exchange.id);
      return {
        client: 'Sluice terminal client',
        scopes: ['sync:read', 'chat'],
        ip: '127.0.0.1',
        created_at: at,
      };
    },
    'POST /api/device/decide': (exchange) => {
      const approve = exchange.body['approve'] === true;
      if (approve) requireFresh(people, exchange);
      requireSession(people, exchange);
      pending(textOf(exchange, 'user_code')).state = approve ? 'approved' : 'access_denied';
      return { success: true };
    },
  };
}
