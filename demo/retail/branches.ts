import { createHash } from 'node:crypto';

/** One branch of the demo: one ERP database, one agent. */
export interface RetailBranch {
  /** Partition and prefix of record ids: lower-case letters, digits and hyphens, at most 50. */
  slug: string;
  name: string;
  /** Slugs of the countries whose rows it gets, sorted. */
  countries: string[];
}

export interface CountryCount {
  slug: string;
  name: string;
  lines: number;
}

/** The branch that gathers what is left over. No country can have this slug to itself. */
const REST = 'rest';
const MAX_SLUG = 50;

/**
 * Divides countries over at most `count` branches: the `count - 1` busiest (by lines; ties by slug) become a branch
 * each, all others together are the branch `rest`, so that every row lands in exactly one. With `count` or fewer
 * countries each has its own and there is no rest. `count` 1 is one branch, `rest`, with everything.
 *
 * The United Kingdom holds nine rows of ten and stays one branch all the same: the file says which country sold, not
 * which shop, and whoever recounts the file by Country must find our figures.
 */
export function planBranches(countries: Iterable<CountryCount>, count: number): RetailBranch[] {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new RangeError('the number of branches must be 1 or more');
  const ranked = [...countries].sort((a, b) => b.lines - a.lines || compareText(a.slug, b.slug));
  const named = ranked.filter(({ slug }) => slug !== REST);
  const own = ranked.length <= count && named.length === ranked.length ? named : named.slice(0, count - 1);
  const left = ranked.filter((country) => !own.includes(country)).map(({ slug }) => slug);
  const branches = own.map(({ slug, name }) => ({ slug, name, countries: [slug] }));
  if (left.length === 0) return branches;
  return [...branches, { slug: REST, name: 'Rest', countries: left.sort(compareText) }];
}

/**
 * The identity of a country: "EIRE" and "Eire " are one. Letters without a Latin base (日本) are told apart by a hash,
 * so that two such countries are never taken for one.
 */
export function countrySlug(country: string): string {
  const folded = country.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const slug = folded.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
  const lossy = /(?!\p{ASCII})\p{L}/u.test(folded) || slug === '' || slug.length > MAX_SLUG;
  if (!lossy) return slug;
  const hash = createHash('sha256').update(folded).digest('hex').slice(0, 8);
  return `${slug.slice(0, MAX_SLUG - 9) || 'country'}-${hash}`;
}

/** By code unit: the same order on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
