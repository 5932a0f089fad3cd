import { z } from 'zod';
import { callHttp, urlOf } from './http.ts';
import { createAuthorizedRequest } from './authorized-request.ts';
import { ApiError } from './errors.ts';
import { createTokenCache } from './token-cache.ts';
import type { MachineSession, MachineSessionOptions } from './types.ts';

const tokenAnswer = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });

/** A machine's session: OAuth 2.0 client_credentials (RFC 6749, 4.4), the client authenticated with Basic (2.3.1). */
export function createMachineSession(options: MachineSessionOptions): MachineSession {
  const { baseUrl, fetch = globalThis.fetch.bind(globalThis), now = Date.now } = options;
  const cache = createTokenCache(now, async () => {
    const body = await callHttp(fetch, {
      method: 'POST',
      url: urlOf(baseUrl, '/oauth/token'),
      headers: { authorization: `Basic ${basicOf(options)}` },
      body: grantOf(options),
    });
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

function grantOf({ scope }: MachineSessionOptions): URLSearchParams {
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scope !== undefined) form.set('scope', scope);
  return form;
}

/** Both parts are form-encoded before they are joined (RFC 6749, 2.3.1), so that a colon in either is no separator. */
function basicOf({ clientId, clientSecret }: MachineSessionOptions): string {
  return btoa(`${formEncode(clientId)}:${formEncode(clientSecret)}`);
}

function formEncode(text: string): string {
  return new URLSearchParams({ v: text }).toString().slice(2);
}
