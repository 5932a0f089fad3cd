/** The pages of one browser share a cookie, and so the refresh token in it: they renew one after another. */

const NAME = 'sluice.renewal';
/** What another page was given is told before its turn ends, and may be heard a little after. */
const HEAR_MS = 200;

type Renew = () => Promise<unknown>;

/** A page that had to wait for its turn answers with what it heard meanwhile; one renewal then serves them all. */
export function createTurns(): (renew: Renew) => Promise<unknown> {
  // Both exist over HTTPS and on the machine itself only. Elsewhere the gateway forgives a token used twice at once.
  if (!('locks' in navigator) || !('BroadcastChannel' in window)) return (renew) => renew();
  const { locks } = navigator;
  const channel = new BroadcastChannel(NAME);
  let heard: { answer: unknown; at: number } | undefined;
  channel.addEventListener('message', ({ data }) => {
    heard = { answer: data, at: performance.now() };
  });

  async function renewAndTell(renew: Renew): Promise<unknown> {
    const answer = await renew();
    channel.postMessage(answer);
    return answer;
  }

  async function hearSince(asked: number): Promise<unknown> {
    if (!heard || heard.at < asked) await nextMessage(channel);
    return heard && heard.at >= asked ? heard.answer : undefined;
  }

  return async (renew) => {
    const asked = performance.now();
    const alone = await locks.request(NAME, { ifAvailable: true }, async (lock) =>
      lock ? { answer: await renewAndTell(renew) } : undefined,
    );
    if (alone) return alone.answer;
    return locks.request(NAME, async () => (await hearSince(asked)) ?? renewAndTell(renew));
  };
}

function nextMessage(channel: BroadcastChannel): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      channel.removeEventListener('message', done);
      resolve();
    };
    const timer = setTimeout(done, HEAR_MS);
    channel.addEventListener('message', done);
  });
}
