import { createRandom } from '../random.ts';
import type { Erp } from './erp.ts';

/** A step of an order (porosia), due when so many invoices have been sold. */
export interface OrderStep {
  after: number;
  number: string;
  /** Undefined: the order is new, and a draft. */
  from: string | undefined;
  to: string;
}

/** An order for so many invoices. */
const INVOICES_PER_ORDER = 8;
const MAX_ORDERS = 60;
const CANCELLED_SHARE = 0.12;
/** Between two steps at most so many invoices are sold. */
const MAX_GAP = 12;
const COURSE = ['draft', 'placed', 'confirmed', 'shipped', 'delivered'] as const;

/**
 * The orders of a branch, made up, for the files hold invoices only. Each goes forward step by step as the branch sells,
 * some are cancelled on the way, and the late ones are still open at the end. The same seed gives the same orders.
 */
export function planOrders(invoices: number, seed: number): OrderStep[] {
  const random = createRandom(seed);
  const count = Math.min(MAX_ORDERS, Math.ceil(invoices / INVOICES_PER_ORDER));
  const steps: OrderStep[] = [];
  for (let n = 0; n < count; n += 1) {
    const number = `P-${String(n + 1).padStart(4, '0')}`;
    const course: string[] = [...COURSE];
    if (random() < CANCELLED_SHARE) course.splice(1 + Math.floor(random() * 3), COURSE.length, 'cancelled');
    let after = Math.floor((n * invoices) / count);
    for (const [i, to] of course.entries()) {
      if (after <= invoices) steps.push({ after, number, from: course[i - 1], to });
      after += 1 + Math.floor(random() * MAX_GAP);
    }
  }
  return steps.sort((a, b) => a.after - b.after);
}

/** The state of every order when all invoices have been sold. */
export function stateOfOrders(steps: readonly OrderStep[]): Map<string, string> {
  return new Map(steps.map(({ number, to }) => [number, to]));
}

/** Takes a step; one that was taken already, before a kill, changes nothing. */
export function takeStep({ statements }: Erp, { number, from, to }: OrderStep): void {
  if (from === undefined) statements.insertOrder.run(number, to);
  else statements.moveOrder.run(to, number, from);
}
