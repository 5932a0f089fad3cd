import { randomUUID } from 'node:crypto';
import type { Mutation, MutationResult, PushAck, PushVerdict } from '../../protocol/sync.ts';
import { toWireError } from '../../protocol/errors.ts';
import type { WireError } from '../../protocol/errors.ts';
import { toAppError } from '../../server/errors.ts';
import { connectWire, startSyncGateway, tokenFor, toPrincipal } from '../support/sync-gateway.ts';
import type { GatewayOptions, SyncGateway, WireClient, WireOptions } from '../support/sync-gateway.ts';

/** One gateway for a suite, and clients that close with their test. */
export interface Suite {
  readonly gateway: SyncGateway;
  /** Connects; `greeted` says hello as well. */
  client(options?: WireOptions): Promise<WireClient>;
  greeted(options?: WireOptions): Promise<WireClient>;
  /** An installation that pushes in process: what is pushed in one turn is judged in one group. */
  direct(): Promise<DirectPush>;
}

export type DirectPush = (seq: number, mutations: Mutation[], batchId?: string) => Promise<PushAck>;

export function useGateway(options: GatewayOptions = {}): Suite {
  let gateway: SyncGateway;
  const clients: WireClient[] = [];
  before(async () => {
    gateway = await startSyncGateway(options);
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(() => gateway.close());
  const client = async (wire?: WireOptions): Promise<WireClient> => {
    const connected = await connectWire(gateway.url, wire);
    clients.push(connected);
    return connected;
  };
  return {
    get gateway() {
      return gateway;
    },
    client,
    async direct() {
      const token = tokenFor();
      const { clientId, incarnation } = await greet(client, { token });
      const origin = { principal: toPrincipal(token), clientId, incarnation };
      return (seq, mutations, batchId = randomUUID()) =>
        gateway.sync.push(origin, { seq, batchId, mutations }).catch((error: unknown): PushAck => {
          return { ok: false, error: toWireError(toAppError(error)) };
        });
    },
    greeted: (wire) => greet(client, wire),
  };
}

async function greet(connect: Suite['client'], wire?: WireOptions): Promise<WireClient> {
  const connected = await connect(wire);
  await connected.hello({ subscribe: [] });
  return connected;
}

export const stock = (id: string, quantity = 10, more: Partial<Mutation> = {}): Mutation => ({
  collection: 'stoku',
  id,
  op: 'put',
  partition: 'b1',
  data: { sku: id, quantity },
  ...more,
});

export const patch = (id: string, change: Partial<Mutation>, collection = 'stoku'): Mutation => ({
  collection,
  id,
  op: 'patch',
  ...change,
});

export const asset = (id: string, data: Record<string, unknown> = {}): Mutation => ({
  collection: 'assets',
  id,
  op: 'put',
  partition: 'b1',
  data: { name: id, ...data },
});

/** The verdict, or a failure that shows the refusal. */
export function verdictOf(ack: PushAck): PushVerdict {
  if (!ack.ok) throw new Error(`refused: ${JSON.stringify(ack.error)}`);
  return ack;
}

export function refusalOf(ack: { ok: true } | { ok: false; error: WireError }): WireError {
  if (ack.ok) throw new Error(`not refused: ${JSON.stringify(ack)}`);
  return ack.error;
}

/** Pushes one batch and returns its results. */
export async function resultsOf(
  client: WireClient,
  mutations: Mutation[],
  options: { atomic?: boolean } = {},
): Promise<MutationResult[]> {
  return verdictOf(await client.push(mutations, options)).results;
}

export async function firstResult(client: WireClient, mutation: Mutation): Promise<MutationResult> {
  const [result] = await resultsOf(client, [mutation]);
  if (!result) throw new Error('no result');
  return result;
}

/** Pushes one mutation that must be applied; returns its version. */
export async function applied(client: WireClient, mutation: Mutation): Promise<number> {
  const verdict = verdictOf(await client.push([mutation]));
  if (verdict.version === null) throw new Error(`not applied: ${JSON.stringify(verdict.results)}`);
  return verdict.version;
}
