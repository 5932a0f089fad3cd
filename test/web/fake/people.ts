import { randomBytes, randomInt, randomUUID } from 'node:crypto';

export interface Person {
  id: string;
  username: string;
  email: string;
  password: string;
  code: string;
  verified: boolean;
  granted: boolean;
  disabled: boolean;
  role: string;
  displayName: string | null;
  createdAt: string;
}

export interface FakeSession {
  id: string;
  person: Person;
  access: string;
  /** Those given before are good until they expire. */
  older: string[];
  refresh: string;
  /** When, in epoch milliseconds, and how the person proved who they are. */
  provedAt: number;
  amr: string[];
  device: { app?: string | undefined; userAgent: string };
  createdAt: string;
  lastUsedAt: string;
}

/** People and their sessions. Tokens are random names. */
export interface People {
  add(input: { username: string; email: string; password: string }): Person;
  find(test: (person: Person) => boolean): Person | undefined;
  byEmail(email: string): Person | undefined;
  byName(username: string): Person | undefined;
  grant(username: string, role?: string): void;
  openSession(person: Person, how: Pick<FakeSession, 'amr' | 'device'>): FakeSession;
  rotate(refresh: string): FakeSession | undefined;
  sessionOf(access: string): FakeSession | undefined;
  byToken(access: string): Person | undefined;
  sessionsOf(personId: string): FakeSession[];
  endSession: (session: FakeSession) => void;
  endSessions(personId: string): void;
  /** Told of each session that ends. */
  onEnd(listener: (session: FakeSession) => void): void;
}

export const newCode = (): string => String(randomInt(1_000_000)).padStart(6, '0');
export const newToken = (): string => randomBytes(24).toString('base64url');

export function createPeople(): People {
  const people: Person[] = [];
  const sessions = new Set<FakeSession>();
  const listeners: ((session: FakeSession) => void)[] = [];
  const find = (test: (person: Person) => boolean): Person | undefined => people.find(test);
  const findSession = (test: (session: FakeSession) => boolean): FakeSession | undefined =>
    [...sessions].find(test);

  const people_: People = {
    add(input) {
      const state = { verified: false, granted: false, disabled: false, role: 'member', displayName: null };
      const createdAt = new Date().toISOString();
      const person = { id: randomUUID(), ...input, ...state, createdAt, code: newCode() };
      people.push(person);
      return person;
    },
    find,
    byEmail: (email) => find((person) => person.email === email),
    byName: (username) => find((person) => person.username === username),
    grant(username, role = 'member') {
      const person = people_.byName(username);
      if (person) Object.assign(person, { granted: true, role });
    },
    openSession(person, how) {
      const at = new Date().toISOString();
      const tokens = { access: newToken(), refresh: newToken() };
      const times = { provedAt: Date.now(), createdAt: at, lastUsedAt: at };
      const session = { id: randomUUID(), person, older: [], ...tokens, ...times, ...how };
      sessions.add(session);
      return session;
    },
    rotate(old) {
      const session = findSession(({ refresh }) => refresh === old);
      if (!session) return undefined;
      const lastUsedAt = new Date().toISOString();
      session.older.push(session.access);
      return Object.assign(session, { access: newToken(), refresh: newToken(), lastUsedAt });
    },
    sessionOf: (given) => findSession(({ access, older }) => [access, ...older].includes(given)),
    byToken: (given) => people_.sessionOf(given)?.person,
    sessionsOf: (personId) => [...sessions].filter(({ person }) => person.id === personId),
    endSession(session) {
      if (sessions.delete(session)) for (const listener of listeners) listener(session);
    },
    endSessions: (personId) => people_.sessionsOf(personId).forEach(people_.endSession),
    onEnd: (listener) => void listeners.push(listener),
  };
  return people_;
}
