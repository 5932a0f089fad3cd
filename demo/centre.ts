import { createMachineSession, createMemoryStore, createSyncClient } from '../sdk/index.ts';
import type { Replica, SyncClient } from '../sdk/index.ts';
import { addDecimal, multiplyDecimal } from '../protocol/decimal.ts';
import type { Figures } from './retail/expected.ts';

/** What the centre says, seen through a subscriber like any other. */
export interface Centre {
  client: SyncClient;
  /** Invoices it has, over all branches. */
  invoices(): Promise<number>;
  figures(branch: string): Promise<Figures>;
  close(): Promise<void>;
}

export interface CentreOptions {
  url: string;
  clientId: string;
  clientSecret: string;
}

/** Opens a subscriber of every branch's invoices, stock and orders, with nothing but a memory store. */
export async function openCentre(options: CentreOptions): Promise<Centre> {
  const { url, clientId, clientSecret } = options;
  const tokens = createMachineSession({ baseUrl: url, clientId, clientSecret });
  const client = createSyncClient({
    url,
    tokens,
    store: createMemoryStore(),
    subscribe: [{ collection: 'fatura' }, { collection: 'stoku' }, { collection: 'porosia' }],
    app: { name: 'demo-centre', version: '1' },
    backoff: { baseMs: 100, capMs: 1_000 },
  });
  await client.start();
  return {
    client,
    invoices: () => client.replica.count('fatura'),
    figures: (branch) => readFigures(client.replica, branch),
    close: () => client.close(),
  };
}

/** Resolves when the subscriber has the whole snapshot and follows live. */
export async function untilLive(client: SyncClient, ms: number): Promise<void> {
  if (client.state.name === 'live') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the centre was not live within ${ms / 1_000} s`)), ms);
    const stop = client.on('state', ({ name }) => {
      if (name !== 'live') return;
      clearTimeout(timer);
      stop();
      resolve();
    });
  });
}

interface Fatura {
  kind: string;
  total: string;
  lines: { quantity: number; unitPrice: string }[];
}

/** Adds up a branch's records, each line by itself. */
async function readFigures(replica: Replica, partition: string): Promise<Figures> {
  const figures: Figures = {
    invoices: 0,
    credits: 0,
    lines: 0,
    total: '0',
    lineTotal: '0',
    stock: new Map(),
    orders: new Map(),
  };
  for await (const { data } of replica.iterate('fatura', { partition })) {
    const fatura = data as unknown as Fatura;
    figures.invoices += 1;
    if (fatura.kind === 'credit') figures.credits += 1;
    figures.lines += fatura.lines.length;
    figures.total = addDecimal(figures.total, fatura.total);
    for (const { quantity, unitPrice } of fatura.lines) {
      figures.lineTotal = addDecimal(figures.lineTotal, multiplyDecimal(String(quantity), unitPrice));
    }
  }
  for await (const { data } of replica.iterate('stoku', { partition })) {
    figures.stock.set(String(data['sku']), Number(data['quantity']));
  }
  for await (const { data } of replica.iterate('porosia', { partition })) {
    figures.orders.set(String(data['number']), String(data['status']));
  }
  return figures;
}
