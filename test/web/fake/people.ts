import { randomBytes, randomInt, randomUUID } from 'node:crypto';

export interface Person {
  id: string;
  username: string;
  email: string;
  password: string;
  code: string;
  verified: boolean;
  granted: boolean;
}

/** People and their sessions. Tokens are random names in a map. */
export interface People {
  add(input: { username: string; email: string; password: string }): Person;
  byEmail(email: string): Person | undefined;
  byName(username: string): Person | undefined;
  grant(username: string): void;
  openSession(person: Person): { access: string; refresh: string };
  rotate(refresh: string): { person: Person; access: string; refresh: string } | undefined;
  byToken(access: string): Person | undefined;
  endSessions(personId: string): void;
}

export const newCode = (): string => String(randomInt(1_000_000)).padStart(6, '0');

export function createPeople(): People {
  const people: Person[] = [];
  const access = new Map<string, Person>();
  const refresh = new Map<string, Person>();
  const find = (test: (person: Person) => boolean): Person | undefined => people.find(test);
  const token = (): string => randomBytes(24).toString('base64url');

  const people_: People = {
    add(input) {
      const person = { id: randomUUID(), ...input, code: newCode(), verified: false, granted: false };
      people.push(person);
      return person;
    },
    byEmail: (email) => find((person) => person.email === email),
    byName: (username) => find((person) => person.username === username),
    grant(username) {
      const person = people_.byName(username);
      if (person) person.granted = true;
    },
    openSession(person) {
      const tokens = { access: token(), refresh: token() };
      access.set(tokens.access, person);
      refresh.set(tokens.refresh, person);
      return tokens;
    },
    rotate(old) {
      const person = refresh.get(old);
      if (!person) return undefined;
      refresh.delete(old);
      return { person, ...people_.openSession(person) };
    },
    byToken: (given) => access.get(given),
    endSessions(personId) {
      for (const tokens of [access, refresh])
        for (const [name, person] of tokens) if (person.id === personId) tokens.delete(name);
    },
  };
  return people_;
}
