import { z } from 'zod';
import { callHttp, urlOf } from './http.ts';
import type { HttpCall } from './http.ts';
import { createAuthorizedRequest } from './authorized-request.ts';
import { ApiError } from './errors.ts';
import { createTokenCache } from './token-cache.ts';
import type { MachineSession, MachineSessionOptions } from './types.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const tokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });

/**
 * A machine's session: OAuth 2.0 client_credentials (RFC 6749, 4.4). The client proves itself by its secret, with Basic (2.3.1), or by a
 * signed assertion (RFC 7523), made anew for each request: one counts once.
 */
export function createMachineSession(options: MachineSessionOptions): MachineSession {
  const { baseUrl, fetch = globalThis.fetch.bind(globalThis), now = Date.now } = options;
  const cache = createTokenCache(now, async () => {
    const url = urlOf(baseUrl, '/oauth/token');
    const body = await callHttp(fetch, { method: 'POST', url, ...(await provenGrant(options, url, now())) });
    const answer = tokenAnswer.safeParse(body);
    if (!answer.success) {
      const message = 'The gateway answered the token request without a token.';
      throw new ApiError({ status: 502, code: 'invalid_response', message });
    }
    return { token: answer.data.access_token, expiresIn: answer.data.expires_in };
  });
  return {
    getAccessToken: (how) => cache.getAccessToken(how),
    request: createAuthorizedRequest({ baseUrl, fetch, tokens: cache }),
  };
}

async function provenGrant(
  options: MachineSessionOptions,
  url: string,
  now: number,
): Promise<Pick<HttpCall, 'headers' | 'body'>> {
  const form = grantOf(options);
  const { clientId } = options;
  if ('clientSecret' in options) {
    const authorization = `Basic ${basicOf(clientId, options.clientSecret)}`;
    return { headers: { authorization }, body: form };
  }
  // Our own idea of the address: an assertion for whatever a server calls itself could be used elsewhere.
  const audience = options.audience ?? url;
  form.set('client_assertion_type', ASSERTION_TYPE);
  form.set('client_assertion', await options.clientAssertion({ clientId, audience, now }));
  return { body: form };
}

function grantOf({ scope }: MachineSessionOptions): URLSearchParams {
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scope !== undefined) form.set('scope', scope);
  return form;
}

/** Both parts are form-encoded before they are joined (RFC 6749, 2.3.1), so that a colon in either is no separator. */
function basicOf(clientId: string, clientSecret: string): string {
  return btoa(`${formEncode(clientId)}:${formEncode(clientSecret)}`);
}

function formEncode(text: string): string {
  return new URLSearchParams({ v: text }).toString().slice(2);
}
