import { noteTenant, parseTenant } from './tenant.ts';

/**
 * Links in mails and terminals lead to `/invite#TOKEN`, `/device#CODE` and `/login#TENANT`: what stands behind the # goes to no server.
 * The page's own routes are behind the # as well, so what was brought is taken out of the address, and out of the browser's history
 * with it.
 */

export interface Arrival {
  page: 'invite' | 'device';
  brought: string;
}

/** Call once, before the first route is read. */
export function receiveArrival(): void {
  if (/^\/login\/?$/.test(location.pathname)) {
    const tenant = parseTenant(decode(location.hash.slice(1)));
    if (tenant !== undefined) noteTenant(tenant);
    history.replaceState(null, '', '/#/login');
    return;
  }
  const page = /^\/(invite|device)\/?$/.exec(location.pathname)?.[1];
  if (page === undefined) return;
  const brought = decode(location.hash.replace(/^#\/?/, ''));
  // With the entry of the history, so that it outlives a reload.
  history.replaceState({ page, brought }, '', `/#/${page}`);
}

/** What was brought to the page that is shown now; empty: nothing. */
export function broughtTo(page: Arrival['page']): string {
  const state: unknown = history.state;
  if (typeof state !== 'object' || state === null) return '';
  const { page: to, brought } = state as Partial<Arrival>;
  return to === page && typeof brought === 'string' ? brought : '';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
