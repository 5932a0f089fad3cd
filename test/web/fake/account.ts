import { Refused, requireFresh, requireSession, textOf, type Exchange, type Routes } from './exchange.ts';
import { newCode, type FakeSession, type People } from './people.ts';
import type { Post } from './post.ts';

interface Deps {
  people: People;
  post: Post;
  /** Open sockets of a session. */
  socketsOf: (session: FakeSession) => number;
}

/** Profile, passwords, address, sessions. */
export function accountRoutes({ people, post, socketsOf }: Deps): Routes {
  const resets = new Map<string, string>();
  const changes = new Map<string, { to: string; old: string; next: string }>();
  const endOthers = (session: FakeSession): number => {
    const others = people.sessionsOf(session.person.id).filter((one) => one !== session);
    others.forEach(people.endSession);
    return others.length;
  };
  const profileOf = (exchange: Exchange): Record<string, unknown> => {
    const { id, username, email, displayName, role, createdAt } = requireSession(people, exchange).person;
    return { profile: { id, username, email, display_name: displayName, role, created_at: createdAt } };
  };
  return {
    'GET /api/profile': profileOf,
    'PATCH /api/profile': (exchange) => {
      const name = exchange.body['display_name'];
      requireSession(people, exchange).person.displayName = typeof name === 'string' ? name : null;
      return profileOf(exchange);
    },
    'POST /api/account/deactivate': (exchange) => {
      const { person } = requireFresh(people, exchange);
      person.disabled = true;
      people.endSessions(person.id);
      return { success: true };
    },
    'POST /api/password/forgot': (exchange) => {
      const email = textOf(exchange, 'email');
      resets.set(email, newCode());
      if (people.byEmail(email)) post.send(email, resets.get(email) ?? '');
      return { success: true };
    },
    'POST /api/password/reset': (exchange) => {
      const email = textOf(exchange, 'email');
      const person = people.byEmail(email);
      if (!person || resets.get(email) !== textOf(exchange, 'code')) throw new Refused('invalid_code');
      person.password = textOf(exchange, 'password');
      people.endSessions(person.id);
      return { success: true };
    },
    'POST /api/password/change': (exchange) => {
      const session = requireSession(people, exchange);
      if (session.person.password !== textOf(exchange, 'current_password'))
        throw new Refused('invalid_credentials');
      session.person.password = textOf(exchange, 'new_password');
      return { ended: endOthers(session) };
    },
    'POST /api/email-change': (exchange) => {
      const { person } = requireFresh(people, exchange);
      const change = { to: textOf(exchange, 'new_email'), old: newCode(), next: newCode() };
      changes.set(person.id, change);
      post.send(person.email, change.old);
      post.send(change.to, change.next);
      return { success: true };
    },
    'POST /api/email-change/confirm': (exchange) => {
      const session = requireSession(people, exchange);
      const change = changes.get(session.person.id);
      const given = [textOf(exchange, 'old_code'), textOf(exchange, 'new_code')];
      if (!change || given[0] !== change.old || given[1] !== change.next) throw new Refused('invalid_code');
      session.person.email = change.to;
      endOthers(session);
      return { success: true };
    },
    'DELETE /api/email-change': (exchange) => {
      changes.delete(requireSession(people, exchange).person.id);
      return { success: true };
    },
    ...sessionRoutes(people, socketsOf, endOthers),
  };
}

function sessionRoutes(
  people: People,
  socketsOf: Deps['socketsOf'],
  endOthers: (session: FakeSession) => number,
): Routes {
  return {
    'GET /api/sessions': (exchange) => {
      const current = requireSession(people, exchange);
      return {
        sessions: people.sessionsOf(current.person.id).map((session) => ({
          id: session.id,
          app: session.device.app ?? null,
          ip: '127.0.0.1',
          user_agent: session.device.userAgent,
          created_at: session.createdAt,
          last_used_at: session.lastUsedAt,
          expires_at: session.lastUsedAt,
          current: session === current,
          sockets: socketsOf(session),
          amr: session.amr,
        })),
      };
    },
    'DELETE /api/sessions/:id': (exchange) => {
      const { person } = requireSession(people, exchange);
      const session = people.sessionsOf(person.id).find(({ id }) => id === exchange.id);
      if (!session) throw new Refused('not_found');
      people.endSession(session);
      return { success: true };
    },
    'POST /api/sessions/end-others': (exchange) => ({ ended: endOthers(requireSession(people, exchange)) }),
  };
}
