import type { Config } from './config.ts';
import type { Arrival, OriginCheck } from './io.ts';

/**
 * Which origins a browser may come from: the gateway's own address (PUBLIC_URL, or where it listens) and CORS_ORIGINS.
 * Never what the request's own Host says, for an attacker's page can have any name resolve to this machine. Without
 * PUBLIC_URL also the address and port that the connection came in at: the system says so, not the request, and a page
 * of that origin can only have been served here. Sockets, CORS and the cookie (routes/web-session.ts, which wants an
 * origin to be said) share this one rule.
 */
export function createOriginCheck(config: Config, issuer: () => string): OriginCheck {
  const further = new Set(config.CORS_ORIGINS.map((origin) => origin.replace(/\/$/, '')));
  const isFixed = isAddressGiven(config);
  return (origin, arrival) => {
    // no browser, or a same-origin GET: there is nothing of a user's to ride on
    if (origin === undefined) return true;
    if (further.has(origin) || ownOrigins(issuer()).has(origin)) return true;
    return !isFixed && arrival !== undefined && origin === arrivalOrigin(arrival);
  };
}

/** Whether a setting says where this process is reached, as opposed to where it happens to listen. */
export function isAddressGiven({ ROLE, PUBLIC_URL, AUTH_URL }: Config): boolean {
  return PUBLIC_URL !== undefined || (ROLE === 'auth' && AUTH_URL !== undefined);
}

function arrivalOrigin({ localAddress, localPort }: Arrival): string | undefined {
  if (localAddress === undefined || localPort === undefined) return undefined;
  const address = localAddress.replace(/^::ffff:(?=[\d.]+$)/, '');
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${localPort}`;
  return URL.canParse(url) ? new URL(url).origin : undefined;
}

/**
 * The gateway on this machine is the same place under each of its three names. No other loopback address is: another
 * program may listen there.
 */
export function ownOrigins(url: string): Set<string> {
  const { origin, protocol, hostname, port } = new URL(url);
  const own = new Set([origin]);
  if (['localhost', '127.0.0.1', '[::1]'].includes(hostname)) {
    for (const name of ['localhost', '127.0.0.1', '[::1]'])
      own.add(`${protocol}//${name}${port ? `:${port}` : ''}`);
  }
  return own;
}
