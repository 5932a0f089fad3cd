import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { ERRORS, type ErrorCode } from '../../../protocol/errors.ts';
import { newCode, type People, type Person } from './people.ts';

/** The strictest policy the page works under; the gateway sends the same. */
const CSP =
  "default-src 'self'; connect-src 'self'; img-src 'self'; style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ROOT = join(import.meta.dirname, '../../../dist/web');
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const COOKIE = 'sluice_refresh';

class Refused extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode) {
    super(ERRORS[code].message);
    this.code = code;
  }
}

type Body = Record<string, string>;
type Handler = (body: Body, request: IncomingMessage, response: ServerResponse) => unknown;

export function createHttp(people: People, isOpen: () => boolean): RequestListener {
  const routes = createRoutes(people);
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? '/', 'http://x').pathname;
    const handler = routes[`${request.method ?? ''} ${path}`];
    // The page itself still comes while interrupted, as it would out of a proxy's cache.
    if (!handler) return sendFile(path, response);
    if (!isOpen()) {
      request.socket.destroy();
      return;
    }
    try {
      send(response, 200, await handler(await readBody(request), request, response));
    } catch (error) {
      const code = error instanceof Refused ? error.code : 'internal';
      send(response, ERRORS[code].status, { code, message: ERRORS[code].message, success: false });
    }
  };
  return (request, response) => void serve(request, response);
}

function createRoutes(people: People): Record<string, Handler> {
  const issue = (person: Person, response: ServerResponse, tokens = people.openSession(person)) => {
    response.setHeader('set-cookie', `${COOKIE}=${tokens.refresh}; HttpOnly; SameSite=Strict; Path=/auth`);
    return {
      success: true,
      user: toUser(person),
      access_token: tokens.access,
      token_type: 'Bearer',
      expires_in: 900,
    };
  };
  return {
    'POST /api/signup': ({ username = '', email = '', password = '' }) => {
      if (people.byName(username)) throw new Refused('username_taken');
      return { success: true, message: 'sent', user_id: people.add({ username, email, password }).id };
    },
    'POST /api/verify-email': ({ username = '', email = '', code }) => {
      const person = people.byName(username) ?? people.byEmail(email);
      if (person?.code !== code || !person) throw new Refused('invalid_code');
      person.verified = true;
      return { success: true, message: 'verified' };
    },
    'POST /api/resend-verification': ({ email = '' }) => {
      const person = people.byEmail(email);
      if (person) person.code = newCode();
      return { success: true, message: 'sent' };
    },
    'POST /api/login': ({ username, email, password }, _request, response) => {
      const person = people.byName(username ?? '') ?? people.byEmail(email ?? '');
      if (person?.password !== password || !person) throw new Refused('invalid_credentials');
      if (!person.verified) throw new Refused('email_not_verified');
      return issue(person, response);
    },
    'POST /auth/refresh': (_body, request, response) => {
      const cookie = new RegExp(`${COOKIE}=([^;]+)`).exec(request.headers.cookie ?? '')?.[1] ?? '';
      const rotated = people.rotate(cookie);
      if (!rotated) throw new Refused('unauthenticated');
      return issue(rotated.person, response, rotated);
    },
    'POST /auth/logout': (_body, request, response) => {
      people.endSessions(requirePerson(people, request).id);
      response.setHeader('set-cookie', `${COOKIE}=; Max-Age=0; Path=/auth`);
      return { success: true };
    },
    'GET /auth/me': (_body, request) => {
      const person = requirePerson(people, request);
      return {
        user: { ...toUser(person), tenant_id: 1 },
        partitions: { read: person.granted ? ['*'] : [], write: [] },
      };
    },
  };
}

function requirePerson(people: People, request: IncomingMessage): Person {
  const person = people.byToken((request.headers.authorization ?? '').replace('Bearer ', ''));
  if (!person) throw new Refused('invalid_token');
  return person;
}

const toUser = ({ id, username, email }: Person) => ({ id, username, email });

async function readBody(request: IncomingMessage): Promise<Body> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : (JSON.parse(text) as Body);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function sendFile(path: string, response: ServerResponse): Promise<void> {
  const name = path === '/' ? 'index.html' : normalize(path).replace(/^(\.\.(\/|$))+/, '');
  try {
    const file = await readFile(join(ROOT, name));
    response
      .writeHead(200, {
        'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
        'content-security-policy': CSP,
        'x-content-type-options': 'nosniff',
      })
      .end(file);
  } catch {
    send(response, 404, { code: 'route_not_found', message: ERRORS.route_not_found.message });
  }
}
