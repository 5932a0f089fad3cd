import type { IncomingMessage, ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode } from '../../../protocol/errors.ts';
import type { FakeSession, People } from './people.ts';

/** A call of the page, and how it is answered. */
export interface Exchange {
  body: Record<string, unknown>;
  request: IncomingMessage;
  response: ServerResponse;
  /** The last part of a path that ends in an id. */
  id: string;
}
export type Handler = (exchange: Exchange) => unknown;
export type Routes = Record<string, Handler>;

export class Refused extends Error {
  readonly code: ErrorCode;
  readonly members: Record<string, unknown>;
  constructor(code: ErrorCode, members: Record<string, unknown> = {}) {
    super(ERRORS[code].message);
    this.code = code;
    this.members = members;
  }
}

export function textOf({ body }: Exchange, field: string): string {
  const value = body[field];
  return typeof value === 'string' ? value : '';
}

export function requireSession(people: People, { request }: Exchange): FakeSession {
  const session = people.sessionOf((request.headers.authorization ?? '').replace('Bearer ', ''));
  if (!session) throw new Refused('invalid_token');
  return session;
}

const FRESH_MS = 10 * 60_000;

/** `methods`: the proofs that count, where not every one does. */
export function requireFresh(people: People, exchange: Exchange, methods?: readonly string[]): FakeSession {
  const session = requireSession(people, exchange);
  const proved = methods === undefined || methods[0] === 'password' || !session.amr.includes('pwd');
  if (proved && Date.now() - session.provedAt < FRESH_MS) return session;
  throw new Refused('reauthentication_required', methods === undefined ? {} : { methods });
}

export function deviceOf(exchange: Exchange): FakeSession['device'] {
  const app = textOf(exchange, 'app');
  return { app: app === '' ? undefined : app, userAgent: exchange.request.headers['user-agent'] ?? '' };
}

export const COOKIE = 'sluice_refresh';

/** What a login is answered; the refresh token is in the cookie. */
export function answerLogin({ response }: Exchange, session: FakeSession): Record<string, unknown> {
  response.setHeader('set-cookie', `${COOKIE}=${session.refresh}; HttpOnly; SameSite=Strict; Path=/auth`);
  const { id, username, email, role } = session.person;
  const user = { id, username, email, role };
  return { success: true, user, access_token: session.access, token_type: 'Bearer', expires_in: 900 };
}
