/**
 * The number of the organisation that logins of this browser go to, where it is not the one that people sign up in. It comes with a
 * link of an invitation, or is typed. It is no secret, and names nobody.
 */

const KEY = 'sluice.tenant';
/** Where people sign up: logins look there by themselves. */
const FIRST = 1;
const MOST = 2 ** 31 - 1;

export function knownTenant(): number | undefined {
  try {
    return parseTenant(localStorage.getItem(KEY) ?? '');
  } catch {
    // A browser that keeps nothing has none.
    return undefined;
  }
}

export function noteTenant(tenant: number | undefined): void {
  try {
    if (tenant === undefined || tenant === FIRST) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(tenant));
  } catch {
    // Then it is typed again.
  }
}

/** Where a request names it: nothing where it does not have to. */
export function tenantField(): { tenant_id?: number } {
  const tenant = knownTenant();
  return tenant === undefined ? {} : { tenant_id: tenant };
}

/** Undefined: it is no number of a tenant. */
export function parseTenant(text: string): number | undefined {
  return /^[1-9]\d{0,9}$/.test(text) && Number(text) <= MOST ? Number(text) : undefined;
}
