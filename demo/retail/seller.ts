import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { createRandom } from '../random.ts';
import { nextUnsold, sellInvoice, type Erp } from './erp.ts';
import type { RetailInvoice } from './invoices.ts';
import { takeStep } from './orders.ts';
import type { OrderStep } from './orders.ts';

export interface SellOptions {
  erp: Erp;
  /** In the order they are sold. */
  invoices: readonly RetailInvoice[];
  /** Invoices a second on average; 0 is as fast as the disk allows. */
  perSecond: number;
  /** The same seed gives the same pauses. */
  seed: number;
  /** Taken when their number of invoices is in the books. */
  orders?: readonly OrderStep[];
  /** The last invoice waits for it. */
  mayEnd?: () => boolean;
  onProgress?: (progress: SellProgress) => void;
  signal?: AbortSignal;
}

export interface SellProgress {
  /** Invoices in the books, those sold before this run included. */
  sold: number;
  total: number;
  invoice: RetailInvoice;
}

export interface SellResult {
  /** Sold by this run. */
  sold: number;
  /** In the books before this run. */
  soldBefore: number;
  /** Not sold because the signal came first. */
  left: number;
}

/** How often the last invoice asks whether it may be sold. */
const ASK_MS = 50;
/** Without pauses other work of the process gets its turn after this time. */
const TURN_MS = 20;

/**
 * Sells the invoices one after the other. Safe to kill at any moment and to run again: it goes on after the last
 * invoice that was committed. When the signal comes it stops between two invoices and returns (it does not throw).
 */
export async function sellInvoices(options: SellOptions): Promise<SellResult> {
  const { erp, invoices, onProgress } = options;
  const pause = createPauses(options);
  const start = nextUnsold(erp, invoices);
  const order = createOrderBook(options);
  order(start);
  let index = start;
  let sold = 0;
  while (index < invoices.length && !options.signal?.aborted) {
    const invoice = invoices[index];
    if (!invoice) break;
    if (index === invoices.length - 1) await untilMayEnd(options);
    if (sellInvoice(erp, invoice)) sold += 1;
    index += 1;
    order(index);
    onProgress?.({ sold: index, total: invoices.length, invoice });
    await pause();
  }
  return { sold, soldBefore: index - sold, left: invoices.length - index };
}

/** Takes the steps that are due when so many invoices are sold. After a kill the first call takes all of before again. */
function createOrderBook({ erp, orders = [] }: SellOptions): (sold: number) => void {
  let next = 0;
  return (sold) => {
    for (let step = orders[next]; step && step.after <= sold; step = orders[next]) {
      takeStep(erp, step);
      next += 1;
    }
  };
}

async function untilMayEnd({ mayEnd = () => true, signal }: SellOptions): Promise<void> {
  while (!mayEnd() && !signal?.aborted) await sleep(ASK_MS);
}

function createPauses({ perSecond, seed, signal }: SellOptions): () => Promise<void> {
  const random = createRandom(seed);
  let due = performance.now();
  if (perSecond <= 0) {
    return async () => {
      if (performance.now() - due < TURN_MS) return;
      await nextTurn();
      due = performance.now();
    };
  }
  return async () => {
    // Between half and one and a half of the mean. Due times add up, so that a slow disk does not slow the pace.
    due += (1000 / perSecond) * (0.5 + random());
    const wait = Math.max(0, due - performance.now());
    await sleep(wait, undefined, signal ? { signal } : {}).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    });
  };
}
