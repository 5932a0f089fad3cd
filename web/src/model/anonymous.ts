import { postWithProof } from '../../../sdk/proof-of-work.ts';

/** A call by somebody who is not logged in. Where too much came from here, the gateway asks for work, which is done. */
export async function post(path: string, body: Record<string, unknown>): Promise<unknown> {
  return postWithProof(fetch.bind(window), {
    method: 'POST',
    url: location.origin + path,
    headers: { 'X-Sluice-Web': '1' },
    body,
    cookies: true,
  });
}
