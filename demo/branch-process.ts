import { readFileSync } from 'node:fs';
import { createErp } from './retail/erp.ts';
import type { RetailInvoice } from './retail/invoices.ts';
import { sellInvoices } from './retail/seller.ts';

/**
 * A shop's till, as a process of its own: `branch-process <database> <invoices.ndjson> <per second> <seed>`. It may be
 * killed at any moment and started again; it says on standard output how many invoices are in its books.
 */
const [databasePath = '', invoicesPath = '', perSecond = '0', seed = '1'] = process.argv.slice(2);

const invoices = readFileSync(invoicesPath, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as RetailInvoice);
const erp = createErp(databasePath);
await sellInvoices({
  erp,
  invoices,
  perSecond: Number(perSecond),
  seed: Number(seed),
  onProgress: ({ sold }) => void process.stdout.write(`${sold}\n`),
});
erp.close();
