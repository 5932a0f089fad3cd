import { existsSync, readFileSync } from 'node:fs';
import { createErp } from './retail/erp.ts';
import type { RetailInvoice } from './retail/invoices.ts';
import type { OrderStep } from './retail/orders.ts';
import { sellInvoices } from './retail/seller.ts';

/**
 * A shop's till, as a process of its own:
 * `branch-process <database> <invoices.ndjson> <orders.ndjson> <hold file> <per second> <seed>`. It may be killed at any
 * moment and started again; it says on standard output how many invoices are in its books. While the hold file is there
 * its last invoice waits.
 */
const [databasePath = '', invoicesPath = '', ordersPath = '', holdPath = '', perSecond = '0', seed = '1'] =
  process.argv.slice(2);

function readLines<T>(path: string): T[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
}

const erp = createErp(databasePath);
await sellInvoices({
  erp,
  invoices: readLines<RetailInvoice>(invoicesPath),
  orders: readLines<OrderStep>(ordersPath),
  perSecond: Number(perSecond),
  seed: Number(seed),
  mayEnd: () => !existsSync(holdPath),
  onProgress: ({ sold }) => void process.stdout.write(`${sold}\n`),
});
erp.close();
