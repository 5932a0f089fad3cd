/** Addresses that the design has and this version does not: README, "Not built yet". */
const NOT_BUILT = [
  /^\/v1(\/|$)/,
  /^\/sync(\/|$)/,
  /^\/connection(\/|$)/,
  /^\/(api\/v1\/admin\/)?config(\/|$)/,
  /^\/audit\/(stats|export)$/,
  /^\/openapi\.json$/,
  /^\/docs(\/|$)/,
];

/** What is to be said of an address at which nothing is yet; undefined: it is not to come either. */
export function findNotBuilt(path: string): string | undefined {
  return NOT_BUILT.some((pattern) => pattern.test(path))
    ? 'This part is not built yet: the README lists what is not, under "Not built yet".'
    : undefined;
}
