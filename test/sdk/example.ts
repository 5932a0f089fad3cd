import { createMachineSession, createSyncClient } from '../../sdk/index.ts';
import { createFileStore } from '../../sdk/file-store.ts';

/** The example of docs/SDK.md, as it stands there; example.test.ts runs it and compares the two. */
// docs:begin
export async function sellOne(
  gateway: { url: string; clientId: string; clientSecret: string },
  file: string,
) {
  const client = createSyncClient({
    url: gateway.url,
    tokens: createMachineSession({ baseUrl: gateway.url, ...gateway }),
    store: createFileStore(file),
    subscribe: [{ collection: 'stoku' }],
  });
  client.on('changes', ({ changes }) => {
    for (const change of changes) process.stdout.write(`${change.op} ${change.collection}/${change.id}\n`);
  });
  await client.start();

  // Durable on this disk when it resolves, online or not; `settled` comes once the gateway has judged it.
  const { settled } = await client.push([
    {
      collection: 'stoku',
      id: 'tea',
      op: 'patch',
      increment: { quantity: -1 },
      guard: { quantity: { min: 0 } },
    },
  ]);
  const verdict = await settled;
  const sold = verdict.results.every((result) => result.status !== 'rejected');
  await client.close();
  return sold;
}
// docs:end
