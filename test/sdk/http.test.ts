import { expect } from 'chai';
import { callHttp } from '../../sdk/http.ts';
import type { Fetch } from '../../sdk/types.ts';

describe('sdk: HTTP', () => {
  it('[P1] a request that waits for its answer holds the Node process alive, an answered one does not', async () => {
    // From here on Mocha's own timer is among them.
    await Promise.resolve();
    const before = timers();
    let answer: (response: Response) => void = () => undefined;
    const fetch: Fetch = () => new Promise((resolve) => (answer = resolve));
    const call = callHttp(fetch, { method: 'GET', url: 'http://gateway/health' });
    expect(timers()).to.equal(before + 1);
    answer(new Response('{"ok":true}'));
    expect(await call).to.deep.equal({ ok: true });
    expect(timers()).to.equal(before);
  });
});

/** Timers that the event loop waits for. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}
