import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createErp, sellInvoice } from '../../demo/retail/erp.ts';
import type { Erp } from '../../demo/retail/erp.ts';
import type { InvoiceItem, RetailInvoice } from '../../demo/retail/invoices.ts';
import { startAgent } from '../../agent/agent.ts';
import type { Agent, AgentDeps } from '../../agent/agent.ts';
import type { AgentConfig } from '../../agent/config.ts';
import { createLog } from '../../agent/log.ts';
import { mapping } from '../../agent/mapping.ts';
import type { Mapping } from '../../agent/mapping.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import { tokenFor, until } from '../support/sync-gateway.ts';

/** The mapping that the documentation shows, on the ERP of the demo. */
const example = JSON.parse(
  readFileSync(new URL('../../agent/example-config.json', import.meta.url), 'utf8'),
) as Record<string, unknown>;

export function exampleMapping(): Mapping {
  return mapping.parse(example['mapping']);
}

export interface Branch {
  config: AgentConfig;
  erp: Erp;
  /** Log lines of the agents of this branch, as objects. */
  lines: { event: string; [detail: string]: unknown }[];
  start(options?: Partial<AgentDeps>): Agent;
  /** Stops what is running; the files stay. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export function createBranch(url: string, partition: string, changes: Partial<AgentConfig> = {}): Branch {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-agent-'));
  const config: AgentConfig = {
    path: join(folder, 'agent.json'),
    gateway: url,
    clientId: partition,
    credential: { clientSecret: 'not used here' },
    partition,
    database: join(folder, 'erp.sqlite'),
    backfill: true,
    pollMs: 20,
    busyTimeoutMs: 2_500,
    reconnectCapMs: 30_000,
    mapping: exampleMapping(),
    ...changes,
  };
  const erp = createErp(config.database);
  const lines: Branch['lines'] = [];
  let agent: Agent | undefined;
  const branch: Branch = {
    config,
    erp,
    lines,
    start(options = {}) {
      const write = (text: string): void => void lines.push(JSON.parse(text) as Branch['lines'][number]);
      const log = createLog({ write }, { json: true });
      agent = startAgent({ config, tokens: tokensOf(partition), log, engine: QUICK, ...options });
      return agent;
    },
    async stop() {
      await agent?.close();
      agent = undefined;
    },
    async close() {
      await branch.stop();
      if (branch.erp.database.isOpen) branch.erp.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return branch;
}

const QUICK = { backoff: { baseMs: 20, capMs: 200 } };

/** The same principal whenever the branch connects. */
export function tokensOf(partition: string): AgentDeps['tokens'] {
  const token = tokenFor({ id: partition, partitions: ['*'] });
  return { getAccessToken: () => Promise.resolve(token) };
}

export function invoice(
  number: string,
  lines: readonly InvoiceItem[],
  changes: Partial<RetailInvoice> = {},
): RetailInvoice {
  const total = lines.reduce((sum, line) => sum + line.quantity * Number(line.unitPrice), 0).toFixed(2);
  const date = '2010-12-01T08:26:00.000Z';
  return {
    number,
    branch: '',
    branchSlug: '',
    country: '',
    date,
    kind: 'sale',
    lines: [...lines],
    total,
    ...changes,
  };
}

export function item(sku: string, quantity = 1, unitPrice = '2.50'): InvoiceItem {
  return { sku, quantity, unitPrice, description: `product ${sku}` };
}

/** Sells `count` invoices of one to three lines each. */
export function sellMany(erp: Erp, count: number, prefix = 'N'): void {
  for (let at = 0; at < count; at += 1) {
    const lines = Array.from({ length: 1 + (at % 3) }, (_, line) => item(`S${(at + line) % 7}`, 1 + line));
    sellInvoice(erp, invoice(`${prefix}${at}`, lines));
  }
}

export interface CentreRecord {
  id: string;
  partition: string;
  version: number;
  data: Record<string, unknown>;
}

export async function recordsAt(
  { db }: SyncGateway,
  collection: string,
  partition?: string,
): Promise<Map<string, CentreRecord>> {
  const { rows } = await db.syncPool.query<CentreRecord>(
    `SELECT id, partition, version::int, data FROM records
     WHERE collection = $1 AND ($2::text IS NULL OR partition = $2) ORDER BY id`,
    [collection, partition ?? null],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

export async function headOf({ db }: SyncGateway): Promise<number> {
  const { rows } = await db.syncPool.query<{ head: number }>(
    'SELECT head::int FROM sync_versions WHERE tenant_id = 1',
  );
  return rows[0]?.head ?? 0;
}

/** The agent has pushed all it had and applied all there is. */
export async function settled(gateway: SyncGateway, ...agents: Agent[]): Promise<void> {
  for (const agent of agents) {
    await until(
      'an agent to have nothing left to do',
      async () => {
        const { captured, queue, backfill, version, connected } = await agent.status();
        if (!connected || captured + queue > 0 || backfill !== null) return false;
        return (version ?? 0) >= (await headOf(gateway));
      },
      20_000,
    );
  }
}

/** What the branch's books say, in the form of `centreBooks`. */
export function localBooks({ erp, config }: Branch): Books {
  const { partition } = config;
  const invoices = erp.database.prepare('SELECT * FROM invoices ORDER BY number').all() as Row[];
  const lines = erp.database.prepare('SELECT * FROM invoice_lines WHERE invoice_id = ? ORDER BY line_no');
  const stock = erp.database.prepare('SELECT sku, quantity FROM stock').all() as {
    sku: string;
    quantity: number;
  }[];
  return {
    invoices: Object.fromEntries(
      invoices.map((row) => [
        `${partition}/${String(row['number'])}`,
        { total: row['total'], lines: lines.all(row['id'] as number).map((one) => toLine(one as Row)) },
      ]),
    ),
    stock: Object.fromEntries(stock.map(({ sku, quantity }) => [`${partition}/${sku}`, quantity])),
  };
}

export async function centreBooks(gateway: SyncGateway, partition: string): Promise<Books> {
  const invoices = await recordsAt(gateway, 'fatura', partition);
  const stock = await recordsAt(gateway, 'stoku', partition);
  return {
    invoices: Object.fromEntries(
      [...invoices].map(([id, { data }]) => [id, { total: data['total'], lines: data['lines'] }]),
    ),
    stock: Object.fromEntries([...stock].map(([id, { data }]) => [id, data['quantity'] as number])),
  };
}

interface Books {
  invoices: Record<string, unknown>;
  stock: Record<string, number>;
}

type Row = Record<string, unknown>;

function toLine(row: Row): Row {
  const { sku, quantity, unit_price: unitPrice, description } = row;
  return { sku, quantity, unitPrice, description };
}
