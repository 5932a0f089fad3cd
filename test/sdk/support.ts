import type { Change, Mutation } from '../../protocol/sync.ts';
import { createMemoryStore, createSyncClient } from '../../sdk/index.ts';
import type { SyncClient, SyncClientOptions, SyncEvents, TokenSource } from '../../sdk/index.ts';
import type { FakeGateway } from './fake-gateway.ts';

export const BACKOFF = { baseMs: 20, capMs: 60, stableMs: 200 };

export function tokensOf(...tokens: string[]): TokenSource & { forced: number } {
  let next = 0;
  const source = {
    forced: 0,
    getAccessToken({ forceRefresh = false }: { forceRefresh?: boolean } = {}) {
      if (forceRefresh) {
        source.forced += 1;
        next = Math.min(next + 1, tokens.length - 1);
      }
      return Promise.resolve(tokens[next] ?? 'token');
    },
  };
  return source;
}

export function put(id: string, data: Record<string, unknown> = {}, collection = 'stoku'): Mutation {
  return { collection, id, op: 'put', data };
}

export interface Watched {
  client: SyncClient;
  events: { name: keyof SyncEvents; body: unknown }[];
  of: <E extends keyof SyncEvents>(name: E) => SyncEvents[E][];
}

const opened = new Set<SyncClient>();

/** A client of a fake gateway with everything it emits; closed by `closeClients`. */
export async function startClient(
  gateway: FakeGateway,
  options: Partial<SyncClientOptions> = {},
): Promise<Watched> {
  const client = createSyncClient({
    url: gateway.url,
    tokens: tokensOf('token'),
    store: createMemoryStore(),
    subscribe: [{ collection: 'stoku' }],
    backoff: BACKOFF,
    timeoutMs: 400,
    ...options,
  });
  const events: Watched['events'] = [];
  const names = [
    'state',
    'changes',
    'snapshot',
    'verdict',
    'reset',
    'identity',
    'closing',
    'revoked',
    'stalled',
    'error',
  ] as const;
  for (const name of names) client.on(name, (body) => events.push({ name, body }));
  opened.add(client);
  await client.start();
  const of = <E extends keyof SyncEvents>(name: E): SyncEvents[E][] =>
    events.filter((event) => event.name === name).map((event) => event.body as SyncEvents[E]);
  return { client, events, of };
}

export async function closeClients(): Promise<void> {
  for (const client of opened) await client.close();
  opened.clear();
}

/** Waits for a condition; fails with its text. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What a subscriber was given, as `version/index`, in order. */
export function history(watched: Watched): string[] {
  return watched.of('changes').flatMap((event) => event.changes.map(placeOf));
}

export function placeOf(change: Change): string {
  return `${change.version}/${change.index}`;
}
