import { readFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { ERRORS } from '../../../protocol/errors.ts';
import { answerLogin, COOKIE, deviceOf, Refused, requireSession, textOf } from './exchange.ts';
import type { Exchange, Routes } from './exchange.ts';
import { newCode, type People, type Person } from './people.ts';
import type { Post } from './post.ts';

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

export function createHttp(routes: Routes, isOpen: () => boolean): RequestListener {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? '/', 'http://x').pathname;
    const method = request.method ?? '';
    const handler = routes[`${method} ${path}`] ?? routes[`${method} ${path.replace(/[^/]+$/, ':id')}`];
    // The page itself still comes while interrupted, as it would out of a proxy's cache.
    if (!handler) return sendFile(path, response);
    if (!isOpen()) {
      request.socket.destroy();
      return;
    }
    try {
      const id = path.split('/').at(-1) ?? '';
      send(response, 200, await handler({ body: await readBody(request), request, response, id }));
    } catch (error) {
      const { code, members } = error instanceof Refused ? error : { code: 'internal' as const, members: {} };
      const { status, message } = ERRORS[code];
      send(response, status, { code, message, success: false, ...members });
    }
  };
  return (request, response) => void serve(request, response);
}

/** Signing up, logging in, sessions. */
export function peopleRoutes(
  people: People,
  post: Post,
  requireSecondStep: (person: Person, exchange: Exchange) => void,
): Routes {
  const find = (exchange: Exchange): Person | undefined =>
    people.byName(textOf(exchange, 'username')) ?? people.byEmail(textOf(exchange, 'email'));
  return {
    'GET /api/signup': () => ({ first: false }),
    'POST /api/signup': (exchange) => {
      const [username, email] = [textOf(exchange, 'username'), textOf(exchange, 'email')];
      if (people.byName(username)) throw new Refused('username_taken');
      const person = people.add({ username, email, password: textOf(exchange, 'password') });
      post.send(email, person.code);
      return { success: true, message: 'sent', user_id: person.id };
    },
    'POST /api/verify-email': (exchange) => {
      const person = find(exchange);
      if (!person || person.code !== textOf(exchange, 'code')) throw new Refused('invalid_code');
      person.verified = true;
      return { success: true, message: 'verified' };
    },
    'POST /api/resend-verification': (exchange) => {
      const person = find(exchange);
      if (person) post.send(person.email, (person.code = newCode()));
      return { success: true, message: 'sent' };
    },
    'POST /api/login': (exchange) => {
      const person = find(exchange);
      const isRight = person?.password === textOf(exchange, 'password') && !person.disabled;
      if (!person || !isRight) throw new Refused('invalid_credentials');
      if (!person.verified) throw new Refused('email_not_verified');
      requireSecondStep(person, exchange);
      return answerLogin(exchange, people.openSession(person, { amr: ['pwd'], device: deviceOf(exchange) }));
    },
    'POST /auth/refresh': (exchange) => {
      const rotated = people.rotate(refreshOf(exchange));
      if (!rotated) throw new Refused('unauthenticated');
      return answerLogin(exchange, rotated);
    },
    'POST /auth/logout': (exchange) => {
      people.endSession(people.rotate(refreshOf(exchange)) ?? requireSession(people, exchange));
      exchange.response.setHeader('set-cookie', `${COOKIE}=; Max-Age=0; Path=/auth`);
      return { success: true };
    },
    'GET /auth/me': (exchange) => {
      const { id, username, email, role, granted } = requireSession(people, exchange).person;
      const partitions = { read: granted ? ['*'] : [], write: [] };
      return { user: { id, username, email, role, tenant_id: 1 }, partitions };
    },
  };
}

/** The refresh token in the cookie, when one of our pages sends it. */
function refreshOf({ request }: Exchange): string {
  const { cookie = '' } = request.headers;
  const isOurs = request.headers['x-sluice-web'] === '1';
  return (isOurs && new RegExp(`${COOKIE}=([^;]+)`).exec(cookie)?.[1]) || '';
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  if (text === '') return {};
  if (request.headers['content-type']?.startsWith('application/json') === true)
    return JSON.parse(text) as Record<string, unknown>;
  return Object.fromEntries(new URLSearchParams(text));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function sendFile(path: string, response: ServerResponse): Promise<void> {
  const isPage = /^\/(invite|device)?$/.test(path);
  const name = isPage ? 'index.html' : normalize(path).replace(/^(\.\.(\/|$))+/, '');
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
