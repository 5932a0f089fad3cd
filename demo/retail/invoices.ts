import { addDecimal, multiplyDecimal } from '../../protocol/decimal.ts';
import { compareText, countrySlug, planBranches, type CountryCount, type RetailBranch } from './branches.ts';
import type { RetailLine } from './row.ts';

export interface InvoiceItem {
  sku: string;
  description?: string;
  quantity: number;
  unitPrice: string;
}

/** One invoice of one branch; it becomes the record `invoiceRecordId(invoice)` of the collection fatura. */
export interface RetailInvoice {
  /** As in the file; see numberInvoices for the one exception. */
  number: string;
  branch: string;
  branchSlug: string;
  country: string;
  /** ISO 8601, UTC: of its earliest line (38 real invoices were typed across a change of minute). */
  date: string;
  /** credit: a cancellation, its number starts with C. Bad debts (A…) are sales of a negative amount. */
  kind: 'sale' | 'credit';
  customer?: string;
  /** In the order of the file; a product listed twice stays two lines. Never empty. */
  lines: InvoiceItem[];
  /** Exact sum of quantity × unitPrice, with at least two decimals. */
  total: string;
}

/** One branch and its invoices in the order they are sold: by date, then number. */
export interface BranchInvoices {
  branch: RetailBranch;
  invoices: RetailInvoice[];
}

export interface InvoiceCollector {
  add(line: RetailLine): void;
  /** Divides what was added so far over at most `branches` branches. */
  divide(branches: number): BranchInvoices[];
}

/**
 * Gathers lines into invoices: one per country and invoice number, wherever in the files its lines are (one real
 * invoice is interrupted by another). One number in two countries is two invoices.
 */
export function createInvoiceCollector(): InvoiceCollector {
  const countries = new Map<string, CountryInvoices>();
  const spellings = new Map<string, CountryInvoices>();

  function requireCountry(name: string): CountryInvoices {
    const slug = countrySlug(name);
    const country = countries.get(slug) ?? { slug, name, lines: 0, drafts: new Map<string, Draft>() };
    countries.set(slug, country);
    spellings.set(name, country);
    return country;
  }

  return {
    add(line) {
      const country = spellings.get(line.country) ?? requireCountry(line.country);
      country.lines += 1;
      addToDraft(country.drafts, line);
    },
    divide(count) {
      return planBranches(countries.values(), count).map((branch) => {
        const own = branch.countries.flatMap((slug) => countries.get(slug) ?? []);
        return { branch, invoices: numberInvoices(branch, own) };
      });
    },
  };
}

/** Unique within a tenant: a number is unique within its branch only. */
export function invoiceRecordId(invoice: Pick<RetailInvoice, 'branchSlug' | 'number'>): string {
  return `${invoice.branchSlug}/${invoice.number}`;
}

interface Draft {
  number: string;
  date: string;
  customer: string | null;
  lines: InvoiceItem[];
}

interface CountryInvoices extends CountryCount {
  drafts: Map<string, Draft>;
}

function addToDraft(drafts: Map<string, Draft>, line: RetailLine): void {
  let draft = drafts.get(line.invoiceNo);
  if (!draft) {
    draft = { number: line.invoiceNo, date: line.at, customer: null, lines: [] };
    drafts.set(line.invoiceNo, draft);
  }
  if (line.at < draft.date) draft.date = line.at;
  draft.customer ??= line.customerId;
  draft.lines.push({
    sku: line.sku,
    quantity: line.quantity,
    unitPrice: line.unitPrice,
    ...(line.description === null ? {} : { description: line.description }),
  });
}

/**
 * A branch that gathers several countries may get one number twice. The country that comes first by slug keeps it as it
 * is; the others' gets their slug behind a tilde (`536365~france`), since the branch's own books allow a number once.
 */
function numberInvoices(branch: RetailBranch, countries: CountryInvoices[]): RetailInvoice[] {
  const taken = new Set<string>();
  const invoices = countries.flatMap((country) =>
    [...country.drafts.values()].map((draft) => {
      let number = taken.has(draft.number) ? `${draft.number}~${country.slug}` : draft.number;
      while (taken.has(number)) number += '~';
      taken.add(number);
      return finishInvoice({ ...draft, number }, branch, country.name);
    }),
  );
  return invoices.sort((a, b) => compareText(a.date, b.date) || compareText(a.number, b.number));
}

function finishInvoice(draft: Draft, branch: RetailBranch, country: string): RetailInvoice {
  return {
    number: draft.number,
    branch: branch.name,
    branchSlug: branch.slug,
    country,
    date: draft.date,
    kind: /^c/i.test(draft.number) ? 'credit' : 'sale',
    ...(draft.customer === null ? {} : { customer: draft.customer }),
    lines: draft.lines,
    total: totalOf(draft.lines),
  };
}

function totalOf(lines: InvoiceItem[]): string {
  return lines.reduce(
    (sum, { quantity, unitPrice }) => addDecimal(sum, multiplyDecimal(String(quantity), unitPrice)),
    '0.00',
  );
}
