import { createErp } from '../../demo/retail/erp.ts';
import { loadRetail } from '../../demo/retail/load.ts';
import { sellInvoices } from '../../demo/retail/seller.ts';

/** A branch's till as a process of its own, to be killed: sells the busiest branch of a file, a dot an invoice. */
const [path = '', file = ''] = process.argv.slice(2);
const { branches } = await loadRetail({ files: [file], branches: 1 });
const erp = createErp(path);
await sellInvoices({
  erp,
  invoices: branches[0]?.invoices ?? [],
  perSecond: 0,
  seed: 1,
  onProgress: () => process.stdout.write('.'),
});
erp.close();
