import type { Context } from 'koa';
import { ASSERTION_TYPE, findIssuerOf } from '../auth/client-assertions.ts';
import type { ClientCredentials } from '../auth/client-grants.ts';
import { TERMINAL } from '../auth/device-flow.ts';
import { isStorable } from '../auth/names.ts';
import { OAuthError } from './oauth-form.ts';
import type { Form } from './oauth-form.ts';

/** The gateway's own terminal client, which has no secret and proves nothing. */
interface PublicClient {
  method: 'none';
  clientId: typeof TERMINAL.clientId;
}

/** Who a client says it is, by exactly one way: Basic (RFC 6749 section 2.3.1), the body, or an assertion (RFC 7523). */
export function findClientCredentials(ctx: Context, form: Form): ClientCredentials | PublicClient {
  const header = ctx.get('Authorization');
  const secret = form.get('client_secret');
  const isAsserted = form.has('client_assertion') || form.has('client_assertion_type');
  if ([header !== '', secret !== undefined, isAsserted].filter(Boolean).length > 1) {
    throw new OAuthError('invalid_request', 'authenticate in one way, not in two');
  }
  if (isAsserted) return readAssertion(form);
  const clientId = form.get('client_id');
  if (header !== '') return readHeader(header, clientId);
  if (clientId === TERMINAL.clientId && secret === undefined) return { method: 'none', clientId };
  if (clientId === undefined || secret === undefined) {
    throw new OAuthError('invalid_client', 'authenticate the client');
  }
  return { method: 'client_secret_post', clientId, secret };
}

function readHeader(header: string, clientId: string | undefined): ClientCredentials {
  const basic = parseBasic(header);
  if (basic === undefined) throw new OAuthError('invalid_client', 'the Authorization header is malformed');
  if (!isStorable(basic.clientId)) throw new OAuthError('invalid_request', 'the client id holds NUL');
  if (clientId !== undefined && clientId !== basic.clientId) {
    throw new OAuthError('invalid_request', 'client_id contradicts the Authorization header');
  }
  return { method: 'client_secret_basic', ...basic };
}

function readAssertion(form: Form): ClientCredentials {
  const assertion = form.get('client_assertion');
  if (assertion === undefined || form.get('client_assertion_type') !== ASSERTION_TYPE) {
    throw new OAuthError('invalid_request', 'client_assertion and its type belong together');
  }
  const clientId = findIssuerOf(assertion);
  if (clientId === undefined) throw new OAuthError('invalid_client', 'authenticate the client');
  const named = form.get('client_id');
  if (named !== undefined && named !== clientId) {
    throw new OAuthError('invalid_request', 'client_id contradicts the assertion');
  }
  return { method: 'private_key_jwt', clientId, assertion };
}

/** Strict base64, one colon at least, both halves form-encoded. */
function parseBasic(header: string): { clientId: string; secret: string } | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1];
  if (encoded === undefined || encoded.length > 1_024) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) return undefined;
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  try {
    return { clientId: decode(text.slice(0, colon)), secret: decode(text.slice(colon + 1)) };
  } catch {
    return undefined;
  }
}

function decode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
